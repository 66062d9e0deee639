#!/usr/bin/env python3
"""Prints the tables of test_ggml.c: SHA-256 of what the gguf package makes of the same pseudo-random blocks.

    pip install gguf==0.19.0 numpy && tests/worker/file/make_ggml_cases.py
"""
import hashlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Where a block's half-precision scales lie; each block gets one of SPECIAL there, or keeps random bytes.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0]}
SPECIAL = [0x7C00, 0xFC00, 0x7E00, 0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0x3C00]
BLOCKS = 128


class Random:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return self.state


def decoded(name):
    kind = GGMLQuantizationType[name]
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = BLOCKS if elements > 1 else BLOCKS * 32
    random = Random(kind)
    data = np.array([random.next() >> 24 for _ in range(blocks * size)], np.uint8).reshape(blocks, size)
    for i in range(blocks // 2):
        for at in SCALES.get(name, []):
            data[i, at : at + 2] = np.frombuffer(np.uint16(SPECIAL[(i + at) % len(SPECIAL)]).tobytes(), np.uint8)
    out = quants.dequantize(data, kind).astype(np.float32).reshape(-1)
    bits = out.view(np.uint32).copy()
    bits[np.isnan(out)] = 0x7FC00000
    return hashlib.sha256(bits.tobytes()).hexdigest()


def encoded(name):
    kind = GGMLQuantizationType[name]
    random = Random(kind)
    values = []
    for _ in range(BLOCKS * 32):
        bits = random.next()
        values.append(np.ldexp(float((bits >> 16) - 32768), -(bits & 31)))
    data = np.array(values, np.float32).reshape(BLOCKS, 32)
    return hashlib.sha256(np.ascontiguousarray(quants.quantize(data, kind)).tobytes()).hexdigest()


np.seterr(all="ignore")
for case in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K",
             "IQ4_NL", "IQ4_XS", "MXFP4"]:
    print(f'    {{GGML_{case}, "{decoded(case)}"}},')
print()
for case in ["F32", "F16", "BF16", "Q8_0"]:
    print(f'    {{GGML_{case}, "{encoded(case)}"}},')

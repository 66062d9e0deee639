#!/usr/bin/env python3
"""Writes tests/worker/file/torch/: files of torch.save that test_torch_file.c reads. The numbers of a tensor are 0, 1, 2, ...

    pip install torch==2.13.0 && tests/worker/file/make_torch_cases.py
"""
import collections
import os

import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch")


def state_dict():
    out = collections.OrderedDict()
    out["weight"] = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    out["half"] = torch.arange(4).half()
    out["brain"] = torch.arange(3).bfloat16()
    out["ids"] = torch.arange(4).reshape(1, 4)
    out["mask"] = torch.tensor([False, True])
    out["tied"] = out["weight"]
    out["rows"] = torch.arange(12.0).reshape(4, 3)[2:]  # part of a storage
    out["one"] = torch.arange(3.0).reshape(3, 1).t()  # strides of a dimension of 1 mean nothing
    out["scalar"] = torch.tensor(0.0)
    out["empty"] = torch.zeros(0, 3)
    out._metadata = collections.OrderedDict([("", {"version": 1})])
    return out


os.makedirs(FOLDER, exist_ok=True)
for protocol in (2, 4, 5):
    torch.save(state_dict(), os.path.join(FOLDER, f"protocol_{protocol}.bin"), pickle_protocol=protocol)
torch.save(dict(state_dict()), os.path.join(FOLDER, "dict.bin"))
torch.save({"transposed": torch.arange(6.0).reshape(2, 3).t()}, os.path.join(FOLDER, "transposed.bin"))
torch.save({"epoch": 3, "state_dict": state_dict()}, os.path.join(FOLDER, "training.bin"))
torch.save({"weight": torch.arange(2.0)}, os.path.join(FOLDER, "legacy.bin"), _use_new_zipfile_serialization=False)
torch.save({"code": os.system}, os.path.join(FOLDER, "code.bin"))

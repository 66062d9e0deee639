#!/usr/bin/env python3
"""Writes canny.safetensors: pictures and the edges that OpenCV finds in them.
    usage: make_canny_cases.py          (needs opencv-python-headless, numpy, safetensors)
image.NAME            U8 [height, width, 3]
edges.NAME.LOW.HIGH   U8 [height, width]: 1 where cv2.Canny(image, LOW, HIGH) is 255
"""
import os

import cv2
import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
y, x = np.mgrid[0:41, 0:53]
shapes = np.zeros((41, 53, 3), np.uint8)
shapes[(x - 20) ** 2 + (y - 18) ** 2 < 150] = (200, 90, 30)
shapes[(abs(x - 38) < 9) & (abs(y - 26) < 11)] = (30, 190, 180)
shapes[(x + y > 60) & (x + y < 66)] = (90, 90, 220)
blurred = cv2.GaussianBlur(shapes, (5, 5), 1.2)
waves = np.stack([127 + 127 * np.sin(x / 3 + y / 5), 127 + 127 * np.cos(x * y / 60), 127 + 127 * np.sin(y / 2)], -1)
pictures = {
    "shapes": shapes,
    "blurred": blurred,
    "noisy": np.clip(blurred + rng.normal(0, 12, blurred.shape), 0, 255).astype(np.uint8),
    "noise": rng.integers(0, 256, (37, 31, 3), dtype=np.uint8),
    "waves": waves.astype(np.uint8),
    "row": rng.integers(0, 256, (1, 19, 3), dtype=np.uint8),
    "column": rng.integers(0, 256, (17, 1, 3), dtype=np.uint8),
    "plain": np.full((7, 9, 3), 80, np.uint8),
}
tensors = {}
for name, picture in pictures.items():
    tensors["image." + name] = np.ascontiguousarray(picture)
    for low, high in [(100, 200), (20, 60), (300, 700), (150, 150)]:
        tensors[f"edges.{name}.{low}.{high}"] = (cv2.Canny(picture, low, high) == 255).astype(np.uint8)
save_file(tensors, os.path.join(os.path.dirname(os.path.abspath(__file__)), "canny.safetensors"))

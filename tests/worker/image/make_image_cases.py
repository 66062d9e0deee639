#!/usr/bin/env python3
"""Writes images.safetensors: small files of every kind, and the pixels that PIL and torchvision have of them.
    usage: make_image_cases.py          (needs pillow, numpy, torchvision, safetensors)
file.NAME     U8 [bytes]: the file
pixels.NAME   U8 [height, width, 3]: exif_transpose(Image.open(file)).convert("RGB")
resized.WxH, shorter.SIDE, centre.SIDE    U8 [height, width, 3]: of pixels.png-rgb
"""
import io
import os

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file
from torchvision import transforms

tensors = {}
rng = np.random.default_rng(0)
WIDTH, HEIGHT = 29, 23
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
smooth = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x + y) * 255 // (WIDTH + HEIGHT)], -1)
rgb = np.clip(smooth + rng.integers(-30, 30, smooth.shape), 0, 255).astype(np.uint8)
picture = Image.fromarray(rgb)
alpha = Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8))


def add(name, image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    tensors["file." + name] = np.frombuffer(out.getvalue(), np.uint8)
    read = ImageOps.exif_transpose(Image.open(io.BytesIO(out.getvalue()))).convert("RGB")
    tensors["pixels." + name] = np.ascontiguousarray(np.asarray(read))


def exif(orientation):
    tags = Image.Exif()
    tags[0x010F] = "a maker"
    tags[0x0112] = orientation
    return tags


rgba = picture.copy()
rgba.putalpha(alpha)
add("png-rgb", picture, "PNG")
add("png-rgba", rgba, "PNG")
add("png-grey", picture.convert("L"), "PNG")
add("png-grey-alpha", rgba.convert("LA"), "PNG")
add("png-bits", picture.convert("1"), "PNG")
add("png-palette", picture.quantize(13), "PNG")
add("png-palette-transparent", picture.quantize(200), "PNG", transparency=3)
for o in range(1, 9):
    add(f"png-exif-{o}", picture, "PNG", exif=exif(o))
add("jpeg-444", picture, "JPEG", quality=90, subsampling=0)
add("jpeg-422", picture, "JPEG", quality=80, subsampling=1)
add("jpeg-420", picture, "JPEG", quality=75, subsampling=2)
add("jpeg-progressive", picture, "JPEG", quality=75, progressive=True)
add("jpeg-grey", picture.convert("L"), "JPEG")
add("jpeg-cmyk", picture.convert("CMYK"), "JPEG")
for o in range(2, 9):
    add(f"jpeg-exif-{o}", picture, "JPEG", exif=exif(o))
add("webp-lossy", picture, "WEBP", quality=80)
add("webp-lossless", picture, "WEBP", lossless=True)
add("webp-alpha", rgba, "WEBP", lossless=True, exact=True)
add("webp-exif-6", picture, "WEBP", lossless=True, exif=exif(6))

for width, height in [(7, 5), (64, 40), (29, 9), (11, 23), (58, 46), (1, 1)]:
    tensors[f"resized.{width}x{height}"] = np.asarray(picture.resize((width, height), Image.BILINEAR))
for side in (8, 16, 23, 50):
    tensors[f"shorter.{side}"] = np.asarray(transforms.Resize(side)(picture))
for side in (4, 7, 16, 22, 23):
    tensors[f"centre.{side}"] = np.asarray(transforms.CenterCrop(side)(picture))
floats = transforms.Normalize([0.5], [0.5])(transforms.ToTensor()(picture)).permute(1, 2, 0)
tensors["floats"] = np.ascontiguousarray(floats.numpy())

# Those that are refused.
frames = [picture, ImageOps.mirror(picture)]
for form in ("PNG", "WEBP"):
    out = io.BytesIO()
    picture.save(out, form, save_all=True, append_images=frames[1:])
    tensors["animated." + form.lower()] = np.frombuffer(out.getvalue(), np.uint8)

folder = os.path.dirname(os.path.abspath(__file__))
save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, os.path.join(folder, "images.safetensors"))

# The fuzz target starts from one file of each decoder.
corpus = os.path.join(folder, "../../fuzz/corpus/image")
os.makedirs(corpus, exist_ok=True)
for name in ("png-palette", "png-exif-6", "jpeg-420", "jpeg-progressive", "jpeg-cmyk", "webp-lossy", "webp-exif-6"):
    with open(os.path.join(corpus, name), "wb") as f:
        f.write(tensors["file." + name].tobytes())

#!/usr/bin/env python3
"""Writes tiny encoders of pictures and metrics.safetensors: what Transformers and PIL measure with them.
    usage: make_encoders.py          (needs torch, transformers, pillow, numpy, safetensors)
clip, dino, dinov2   a CLIPModel, a ViTModel and a Dinov2Model as Transformers saves them, with tokenizer and image processor;
                     the last one's pictures are smaller than those that its position embeddings are for
picture.N            U8 [height, width, 3]: two training pictures, then two previews, one of each prompt
clip.N, ...          F32: picture N as each image processor makes it, [side, side, 3]
valid_clip_t, ...    F32 [1]; valid_dinov2 is valid_dino with the second
"""
import os
import shutil

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import save_file

here = os.path.dirname(os.path.abspath(__file__))
tokens = os.path.join(here, "..", "diffusion", "pipeline", "tokenizer")
PROMPTS = ["a dog", "a painting of a dog"]
torch.manual_seed(0)
torch.set_num_threads(1)
tokenizer = transformers.CLIPTokenizer.from_pretrained(tokens)
size = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
text = size | dict(vocab_size=len(tokenizer), max_position_embeddings=20, eos_token_id=tokenizer.eos_token_id,
                   bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id)
vision = size | dict(image_size=12, patch_size=4)
clip = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()
dino = transformers.ViTModel(transformers.ViTConfig(**vision), add_pooling_layer=False).eval()
dinov2 = transformers.Dinov2Model(transformers.Dinov2Config(**size | dict(image_size=28, patch_size=4, mlp_ratio=2))).eval()
with torch.no_grad():  # at their start all pictures look much alike
    for p in [*clip.parameters(), *dino.parameters(), *dinov2.parameters()]:
        p *= 5 if p.ndim > 1 else 1
clip_processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": 15}, crop_size={"height": 12, "width": 12})
dino_processor = transformers.ViTImageProcessorPil(size={"height": 12, "width": 12}, image_mean=[0.485, 0.456, 0.406],
                                                   image_std=[0.229, 0.224, 0.225])
dinov2_processor = transformers.BitImageProcessorPil(size={"shortest_edge": 15}, crop_size={"height": 12, "width": 12},
                                                     image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
encoders = (("clip", clip, clip_processor), ("dino", dino, dino_processor), ("dinov2", dinov2, dinov2_processor))
for name, model, processor in encoders:
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
    shutil.copy(os.path.join(tokens, name), os.path.join(here, "clip", name))

# None that is higher than wide: of those Pillow 13 makes the height first, and older versions do not.
rng = np.random.default_rng(1)
pictures = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((20, 31), (16, 40), (16, 16), (16, 16))]
images = [Image.fromarray(p) for p in pictures]


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


with torch.no_grad():
    ids = [tokenizer(p, return_tensors="pt").input_ids for p in PROMPTS]
    seen = unit(torch.stack([clip(input_ids=ids[0], pixel_values=clip_processor(i, return_tensors="pt").pixel_values).image_embeds[0]
                             for i in images]))
    read = unit(torch.cat([clip(input_ids=i, pixel_values=clip_processor(images[0], return_tensors="pt").pixel_values).text_embeds
                           for i in ids]))
    states = {name: unit(torch.stack([model(processor(i, return_tensors="pt").pixel_values).last_hidden_state[0, 0] for i in images]))
              for name, model, processor in encoders[1:]}
tensors = {f"picture.{i}": p for i, p in enumerate(pictures)}
for name, _, processor in encoders:
    for i, image in enumerate(images):
        pixels = processor(image, return_tensors="np").pixel_values[0]
        tensors[f"{name}.{i}"] = np.ascontiguousarray(pixels.transpose(1, 2, 0)).astype(np.float32)
tensors["valid_clip_t"] = (seen[2:] * read).sum(-1).mean().reshape(1).numpy()
tensors["valid_clip_i"] = (seen[2:] @ seen[:2].T).mean().reshape(1).numpy()
for name, of in states.items():
    tensors[f"valid_{name}"] = (of[2:] @ of[:2].T).mean().reshape(1).numpy()
for name in ("valid_clip_t", "valid_clip_i", "valid_dino", "valid_dinov2"):
    print(name, tensors[name][0])
save_file(tensors, os.path.join(here, "metrics.safetensors"))

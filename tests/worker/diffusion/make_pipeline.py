#!/usr/bin/env python3
"""Makes a tiny pipeline of random weights as diffusers saves one, tests/worker/diffusion/pipeline/, and the pictures that diffusers makes
with it of the noise that this engine begins with (philox.py): pipeline.json. One is made with an adapter of PEFT's on the UNet, adapter/.
Needs `pip install diffusers transformers tokenizers peft torch`:

    python3 -B tests/worker/diffusion/make_pipeline.py
"""
import base64
import json
import os
import shutil

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import HRAConfig, get_peft_model
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from philox import latents

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE, ADAPTER = os.path.join(HERE, "pipeline"), os.path.join(HERE, "adapter")
CORPUS = ["a photo of a red dog on the beach", "a painting of a small house by the sea", "two cats, and a bird"]
CASES = [
    dict(prompt="a photo of a dog", seed=7, width=16, height=16, steps=5, guidance_scale=7.5, scheduler="DDIMScheduler"),
    dict(prompt="A  painting of the Sea!", negative_prompt="a red house", seed=2 ** 40 + 3, width=24, height=16, steps=8, guidance_scale=3.0,
         scheduler="DPMSolverMultistepScheduler"),
    dict(prompt="", seed=0, width=16, height=24, steps=4, guidance_scale=1.0, scheduler="DPMSolverMultistepScheduler"),
    dict(prompt="a small house", seed=5, width=16, height=16, steps=6, guidance_scale=5.0, scheduler="PNDMScheduler"),
    dict(prompt="two cats", seed=11, width=16, height=16, steps=6, guidance_scale=5.0, scheduler="EulerDiscreteScheduler"),
    dict(prompt="a photo of a dog", seed=7, width=16, height=16, steps=5, guidance_scale=7.5, scheduler="DDIMScheduler", adapter=True),
]


def tokenizer(folder):
    """vocab.json and merges.txt, as Stable Diffusion's folders have them."""
    t = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(False)])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=110, special_tokens=["<|startoftext|>", "<|endoftext|>"],
                                                      end_of_word_suffix="</w>", show_progress=False))
    model = json.loads(t.to_str())["model"]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w") as f:
        json.dump(model["vocab"], f)
    with open(os.path.join(folder, "merges.txt"), "w") as f:
        f.write("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in model["merges"]))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump(dict(tokenizer_class="CLIPTokenizer", model_max_length=20, bos_token="<|startoftext|>", eos_token="<|endoftext|>",
                       unk_token="<|endoftext|>", pad_token="<|endoftext|>"), f)
    return len(model["vocab"])


def make():
    shutil.rmtree(PIPELINE, ignore_errors=True)
    vocab = tokenizer(os.path.join(PIPELINE, "tokenizer"))
    torch.manual_seed(1)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=vocab, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                                        max_position_embeddings=20, projection_dim=16, bos_token_id=0, eos_token_id=1, pad_token_id=1))
    unet = UNet2DConditionModel(sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(4, 8), norm_num_groups=2,
                                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                                cross_attention_dim=16, attention_head_dim=2)
    vae = AutoencoderKL(block_out_channels=(4, 8), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                        latent_channels=4, norm_num_groups=2, layers_per_block=1, sample_size=16)
    with torch.no_grad():
        for p in [*unet.parameters(), *vae.parameters(), *text.parameters()]:
            if p.ndim == 1:
                p.add_(0.1 * torch.randn_like(p))
        vae.decoder.conv_out.weight.mul_(2)  # pictures with contrast
        text.get_input_embeddings().weight.mul_(20)  # and prompts that matter
    scheduler = PNDMScheduler(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                              skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=CLIPTokenizer.from_pretrained(os.path.join(PIPELINE, "tokenizer")), unet=unet,
                            scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
                            ).save_pretrained(PIPELINE + ".new")
    for name in ("model_index.json", "scheduler", "text_encoder", "unet", "vae"):  # the tokenizer stays as older files are
        shutil.move(os.path.join(PIPELINE + ".new", name), os.path.join(PIPELINE, name))
    shutil.rmtree(PIPELINE + ".new")


def adapt(unet):
    """HRA on linear layers and convolutions, not at its beginning."""
    torch.manual_seed(2)
    model = get_peft_model(unet, HRAConfig(r=4, target_modules=["to_q", "to_k", "to_v", "conv1"]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "hra_u" in name:
                p.copy_(torch.randn_like(p))
    shutil.rmtree(ADAPTER, ignore_errors=True)
    model.save_pretrained(ADAPTER)
    os.remove(os.path.join(ADAPTER, "README.md"))
    return model.eval()


def picture(pipe, case):
    if case.get("adapter"):
        pipe.unet = adapt(pipe.unet)
    pipe.scheduler = getattr(diffusers, case["scheduler"]).from_config(pipe.scheduler.config, clip_sample=False)
    start = torch.from_numpy(latents(case["seed"], 4, case["height"] // 2, case["width"] // 2))
    image = pipe(case["prompt"], negative_prompt=case.get("negative_prompt"), latents=start, width=case["width"], height=case["height"],
                 num_inference_steps=case["steps"], guidance_scale=case["guidance_scale"], output_type="np").images[0]
    return (image * 255).round().astype(np.uint8)


def main():
    torch.set_num_threads(1)
    make()
    pipe = StableDiffusionPipeline.from_pretrained(PIPELINE)
    pipe.set_progress_bar_config(disable=True)
    out = []
    for case in CASES:
        pixels = picture(pipe, case)
        print(case["prompt"], pixels.shape, pixels.min(), pixels.max(), pixels.std())
        ids = pipe.tokenizer(case["prompt"], padding="max_length", max_length=20, truncation=True).input_ids
        out.append(dict(case, ids=ids, pixels=base64.b64encode(pixels.tobytes()).decode()))
    with open(os.path.join(HERE, "pipeline.json"), "w") as f:
        json.dump(out, f, indent=1)


if __name__ == "__main__":
    main()

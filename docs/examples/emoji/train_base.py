"""Trains a small latent diffusion model of emoji from scratch. usage: train_base.py FOLDER
FOLDER becomes a StableDiffusionPipeline as diffusers saves one. A VAE that is there already is kept.
Needs torch, diffusers, transformers, tokenizers, and what pictures.py needs."""

import copy
import json
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import pictures

TOKENS, LATENTS = 20, 8
VAE_STEPS, DECODER_STEPS, UNET_STEPS = 4000, 8000, 1800
BLOCKS = [(0x1F300, 0x1F600), (0x1F900, 0x1FA00)]  # of Unicode: where most emoji are


def rate(step, steps, peak):
    """Of the optimiser: a short warm-up, then down along half a cosine."""
    over = step / steps
    return peak * min(1, 50 * over + 0.02) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * over)))


def pixels(images):
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).float() / 127.5 - 1


# --- the VAE --------------------------------------------------------------------------------------------

def all_glyphs():
    """Many more emoji than those with captions, but not the subject."""
    found = (pictures.glyph(chr(code)) for first, end in BLOCKS for code in range(first, end) if chr(code) != pictures.SUBJECT)
    return [glyph for glyph in found if glyph]


def edges(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def learn_pictures(vae, parameters, steps, peak, draw, loss_of):
    """draw() gives a picture; of what is off, and of its edges, loss_of makes the loss."""
    optimiser = torch.optim.AdamW(parameters, weight_decay=1e-4, fused=True)
    off = []
    for step in range(steps):
        x = pixels([draw() for _ in range(4)]).contiguous(memory_format=torch.channels_last)
        of = vae.encode(x).latent_dist
        y = vae.decode(of.sample()).sample
        loss = loss_of(y, x) + sum(loss_of(a, b) for a, b in zip(edges(y), edges(x)))
        loss = loss + 1e-5 * of.kl().mean() / of.mean[0].numel()
        optimiser.param_groups[0]["lr"] = rate(step, steps, peak)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1)
        optimiser.step()
        off.append(F.mse_loss(y, x).item())
        if step % 100 == 0:
            print(f"vae {step}: pixels are off by {127.5 * np.mean(off[-100:]) ** 0.5:.1f}", flush=True)


def train_vae(rng):
    vae = AutoencoderKL(block_out_channels=(16, 32, 64), down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
                        latent_channels=LATENTS, norm_num_groups=8, layers_per_block=1, sample_size=pictures.SIDE)
    torch.nn.init.constant_(vae.quant_conv.bias[LATENTS:], -6)  # log-variances: little noise, so that it learns to tell pictures apart
    vae.to(memory_format=torch.channels_last)
    glyphs, colours = all_glyphs(), list(pictures.COLOURS.values())
    learn_pictures(vae, list(vae.parameters()), VAE_STEPS, 2e-3,
                   lambda: pictures.varied(glyphs[rng.integers(len(glyphs))], colours[rng.integers(len(colours))], rng), F.mse_loss)
    return vae


def sharpen(vae, rng):
    """Trains the decoder alone, on all emoji and as often on those with captions."""
    glyphs, colours = all_glyphs(), list(pictures.COLOURS.values())
    named = [pictures.glyph(emoji) for emoji in pictures.EMOJI.values()]

    def draw():
        some = named if rng.random() < 0.5 else glyphs
        return pictures.varied(some[rng.integers(len(some))], colours[rng.integers(len(colours))], rng)

    vae.requires_grad_(False)
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for p in parameters:
        p.requires_grad_(True)
    learn_pictures(vae, parameters, DECODER_STEPS, 1.5e-3, draw, F.l1_loss)


@torch.no_grad()
def encode(vae, images):
    """Means and deviations of the latents."""
    parts = [vae.encode(pixels(images[i:i + 64])).latent_dist for i in range(0, len(images), 64)]
    return torch.cat([part.mean for part in parts]), torch.cat([part.std for part in parts])


# --- the text -------------------------------------------------------------------------------------------

def tokenizer(folder):
    """Of CLIP's kind: any word can be written, those of the captions are a token each."""
    words = sorted({pictures.caption(what, colour) for what in [*pictures.EMOJI, *pictures.KINDS] for colour in pictures.COLOURS})
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(False)])
    bpe.train_from_iterator(words, trainers.BpeTrainer(vocab_size=2000, end_of_word_suffix="</w>", show_progress=False))
    merges = [tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges), "<|startoftext|>", "<|endoftext|>"]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump({name: i for i, name in enumerate(dict.fromkeys(names))}, file)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in merges))
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "bos_token": "<|startoftext|>",
                   "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}, file)
    return CLIPTokenizer.from_pretrained(folder)


# --- the diffusion model --------------------------------------------------------------------------------

def make_text_encoder(tokens):
    size = len(tokens)
    return CLIPTextModel(CLIPTextConfig(vocab_size=size, hidden_size=96, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
                                        max_position_embeddings=TOKENS, projection_dim=96, bos_token_id=size - 2, eos_token_id=size - 1,
                                        pad_token_id=size - 1))


def make_unet():
    return UNet2DConditionModel(sample_size=pictures.SIDE // 4, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=1,
                                block_out_channels=(48, 96), norm_num_groups=16, cross_attention_dim=96, attention_head_dim=4,
                                use_linear_projection=True, down_block_types=("CrossAttnDownBlock2D",) * 2,
                                up_block_types=("CrossAttnUpBlock2D",) * 2)


def examples(rng, each):
    """Pictures, and of each its captions: by name and by kind."""
    images, captions = [], []
    for _ in range(each):
        for name, emoji in pictures.EMOJI.items():
            colour = pictures.draw_colour(rng)
            images.append(pictures.varied(pictures.glyph(emoji), pictures.COLOURS[colour], rng))
            captions.append((pictures.caption(name, colour), pictures.caption(pictures.KIND_OF[name], colour)))
    return images, captions


def draw_caption(captions, rng):
    chance = rng.random()
    return "" if chance < 0.1 else captions[1] if chance < 0.2 else captions[0]


class Averaged:
    """Moving averages of the weights, which are what is kept."""

    def __init__(self, *modules):
        self.modules, self.averages = modules, [copy.deepcopy(module).eval() for module in modules]

    @torch.no_grad()
    def update(self, step):
        keep = min(0.999, (step + 1) / (step + 10))
        for module, average in zip(self.modules, self.averages):
            for p, a in zip(module.parameters(), average.parameters()):
                a.lerp_(p, 1 - keep)


def train_unet(folder, vae, rng, steps=UNET_STEPS):
    tokens = tokenizer(os.path.join(folder, "tokenizer"))
    images, captions = examples(rng, 120)
    mean, std = encode(vae, images)
    vae.register_to_config(scaling_factor=1 / mean.std().item())
    ids = {text: tokens(text, padding="max_length", max_length=TOKENS).input_ids for text in {"", *(c for pair in captions for c in pair)}}
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
                              steps_offset=1, prediction_type="v_prediction")
    text, unet = make_text_encoder(tokens), make_unet().to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in unet.parameters()) / 1e6:.1f}M parameters, {len(images)} pictures", flush=True)
    averaged = Averaged(text, unet)
    parameters = [*text.parameters(), *unet.parameters()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=1e-3, fused=True)
    losses = []
    for step in range(steps):
        chosen = rng.integers(len(images), size=32)
        at = torch.from_numpy(chosen)
        clean = (mean[at] + std[at] * torch.randn_like(mean[at])) * vae.config.scaling_factor
        noise, t = torch.randn_like(clean), torch.randint(1000, (len(chosen),))
        prompt = text(torch.tensor([ids[draw_caption(captions[i], rng)] for i in chosen])).last_hidden_state
        got = unet(scheduler.add_noise(clean, noise, t), t, prompt).sample
        loss = F.mse_loss(got, scheduler.get_velocity(clean, noise, t))
        optimiser.param_groups[0]["lr"] = rate(step, steps, 1.5e-3)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1)
        optimiser.step()
        averaged.update(step)
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"unet {step}: loss {np.mean(losses[-50:]):.4f}", flush=True)
    StableDiffusionPipeline(vae=vae, text_encoder=averaged.averages[0], tokenizer=tokens, unet=averaged.averages[1], scheduler=scheduler,
                            safety_checker=None, feature_extractor=None, requires_safety_checker=False).save_pretrained(folder)


def main(folder):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(3)
    if os.path.exists(os.path.join(folder, "vae")):
        vae = AutoencoderKL.from_pretrained(os.path.join(folder, "vae"))
    else:
        vae = train_vae(rng)
        sharpen(vae, rng)
        vae.save_pretrained(os.path.join(folder, "vae"))
    train_unet(folder, vae.eval().requires_grad_(False), rng)


if __name__ == "__main__":
    main(sys.argv[1])

#!/usr/bin/env python3
"""Exports of a UNet's adapters against diffusers and PEFT: an HRA adapter that PEFT made, on linear layers and
convolutions, and a LoRA one with ranks that differ. What the worker writes of it as PEFT LoRA, diffusers LoRA, kohya LoRA and
merged folder gives, loaded by its own reader, the output of the adapter in PEFT. Says TAP lines.
Environment: BUILD_DIR."""
import json, os, sys, tarfile, tempfile
import torch
import diffusers
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import HRAConfig, LoraConfig, PeftModel, get_peft_model
from transformers import CLIPTextConfig, CLIPTextModel
from worker import run_worker

diffusers.utils.logging.set_verbosity_error()
UNET = dict(sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32, attention_head_dim=2)
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "conv_out",
                "linear_1", "linear_2"]
ADAPTERS = {
    "attention": HRAConfig(r=4, target_modules=ATTENTION),
    "all": HRAConfig(r=4, target_modules=ATTENTION + CONVOLUTIONS),
    "gram-schmidt": HRAConfig(r=3, apply_GS=True, init_weights=False, target_modules=ATTENTION + CONVOLUTIONS),
    "lora": LoraConfig(r=4, lora_alpha=6, rank_pattern={"conv1": 2, "to_q": 3}, target_modules=ATTENTION + CONVOLUTIONS),
}
FORMATS = ["lora", "diffusers-lora", "kohya-lora", "merged:f32"]
failed = count = 0


def ok(good, name, why=""):
    global failed, count
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}{'' if good else f' # {why}'}", flush=True)


def output(unet):
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return unet(torch.randn(2, 4, 8, 8, generator=g), torch.tensor([17, 801]), torch.randn(2, 5, 32, generator=g)).sample


def base(folder):
    return UNet2DConditionModel.from_pretrained(os.path.join(folder, "base", "unet"))


def make(folder, config):
    """A base and an adapter of it; the output with the adapter."""
    torch.manual_seed(0)
    UNet2DConditionModel(**UNET).save_pretrained(os.path.join(folder, "base", "unet"))
    model = get_peft_model(base(folder), config)
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data += 0.2 * torch.randn(p.shape)
    model.eval().save_pretrained(os.path.join(folder, "adapter"))
    return output(model)


def export(folder, formats):
    """The worker's own task, as the daemon gives it."""
    with open(os.path.join(folder, "adapter", "adapter_config.json")) as file:
        config = json.load(file)
    members = {"peft_type", "r", "apply_GS", "init_weights", "lora_alpha", "rank_pattern", "target_modules"}
    adapter = {key: value for key, value in config.items() if key in members}
    adapter.pop("init_weights", None)
    spec = dict(model="tiny", task="subject-driven", training_file="file-none", adapter=adapter)
    out = os.path.join(folder, "out")
    os.makedirs(out, exist_ok=True)
    return run_worker(os.path.join(folder, "task.json"), kind="export", model_dir=os.path.join(folder, "base"), output_dir=out,
                      start=os.path.join(folder, "adapter"), exports=formats, spec=spec)


def unpacked(folder, name):
    path = os.path.join(folder, "out", name)
    with tarfile.open(path + ".tar") as tar:
        tar.extractall(path, filter="data")
    return path


def pipeline(folder, name):
    """A pipeline whose UNet has the LoRA of that file."""
    text = CLIPTextModel(CLIPTextConfig(vocab_size=99, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                                        max_position_embeddings=16))
    vae = AutoencoderKL(block_out_channels=(4,), down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
                        norm_num_groups=2, layers_per_block=1)
    pipe = StableDiffusionPipeline(vae, text, None, base(folder), DDIMScheduler(steps_offset=1, clip_sample=False), None, None, requires_safety_checker=False)
    pipe.load_lora_weights(os.path.join(folder, "out"), weight_name=name)
    return pipe.unet


READERS = {
    "lora": lambda folder: PeftModel.from_pretrained(base(folder), unpacked(folder, "lora")).eval(),
    "diffusers-lora": lambda folder: pipeline(folder, "pytorch_lora_weights.safetensors"),
    "kohya-lora": lambda folder: pipeline(folder, "kohya_lora.safetensors"),
    "merged:f32": lambda folder: UNet2DConditionModel.from_pretrained(unpacked(folder, "merged-f32")),
}


def compare(name, config):
    with tempfile.TemporaryDirectory() as folder:
        want = make(folder, config)
        changed = (output(base(folder)) - want).abs().max().item()
        ok(changed > 1e-2, f"{name}: the adapter does something", changed)
        done = export(folder, FORMATS)
        ok(done.returncode == 0, f"{name}: exported", done.stderr.strip())
        for format in FORMATS if done.returncode == 0 else []:
            try:
                differs = (output(READERS[format](folder)) - want).abs().max().item()
            except Exception as error:
                differs = error
            ok(isinstance(differs, float) and differs < 2e-5, f"{name}: {format} gives the same output", differs)


for name, config in ADAPTERS.items():
    compare(name, config)
print(f"1..{count}")
sys.exit(failed > 0)

"""Proves that a job of controllable generation is what PyTorch computes with diffusers' ControlNetConditioningEmbedding, whose output is
added to that of the UNet's conv_in: a step, from images, prompts and hints to the loss, the updated adapter and the updated embedding.
TAP lines."""

import io
import json
import os
import sys
import tempfile
import zipfile

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file

from test_subjects import INSTANCE, NOISE, PIPELINE, POSTERIOR, SEED, SIDE, fresh, normal, timestep
from worker import train

RATE = 1e-2
PROMPTS = ["a photo of a red dog", "two cats"]
FILE, PREFIX = "conditioning_embedding.safetensors", "controlnet_cond_embedding."


def pictures(seed):
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in PROMPTS]


def run(folder, name, **hyperparameters):
    data = os.path.join(folder, "images.zip")
    with zipfile.ZipFile(data, "w") as archive:
        for kind, seed in (("hints/", 4), ("", 3)):
            for i, image in enumerate(pictures(seed)):
                out = io.BytesIO()
                image.save(out, "PNG")
                archive.writestr(f"{kind}{i}.png", out.getvalue())
        lines = [{"file_name": f"{i}.png", "text": text, "conditioning_image": f"hints/{i}.png"} for i, text in enumerate(PROMPTS)]
        archive.writestr("metadata.jsonl", "\n".join(json.dumps(line) for line in lines))
    hyperparameters = {"max_steps": 3, "batch_size": 2, "shuffle": False, "learning_rate": RATE, **hyperparameters}
    return train(folder, name, model_dir=PIPELINE, training={"id": "file-1", "path": data, "filename": "images.zip"},
                 spec={"model": "painter", "training_file": "file-1", "task": "controllable", "seed": SEED,
                       "adapter": {"peft_type": "HRA", "r": 4}, "image": {"resolution": SIDE},
                       "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}})


def floats(image):
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)[None]


def hinted(pipe, folder, hint):
    """The UNet with the adapter and the embedding of a folder; hint[0] is what it is conditioned on."""
    embedding = ControlNetConditioningEmbedding(pipe.unet.config.block_out_channels[0], block_out_channels=(16, 32))
    embedding.load_state_dict({k.removeprefix(PREFIX): v for k, v in load_file(os.path.join(folder, FILE)).items()})
    unet = PeftModel.from_pretrained(pipe.unet, folder, is_trainable=True)
    unet.get_base_model().conv_in.register_forward_hook(lambda module, given, output: output + embedding(hint[0]))
    return unet, embedding


def loss_of(pipe, unet, hint, index, number):
    pixels = floats(pictures(3)[index]) * 2 - 1
    hint[0] = floats(pictures(4)[index])
    with torch.no_grad():
        of_vae = pipe.vae.encode(pixels).latent_dist
        channels, side = of_vae.mean.shape[1], of_vae.mean.shape[2]
        clean = (of_vae.mean + of_vae.std * normal(POSTERIOR, INSTANCE, number, channels, side)) * pipe.vae.config.scaling_factor
        text = pipe.encode_prompt(PROMPTS[index], "cpu", 1, False)[0]
    noise = normal(NOISE, INSTANCE, number, channels, side)
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    t = torch.tensor([timestep(INSTANCE, number, scheduler.config.num_train_timesteps)])
    return torch.nn.functional.mse_loss(unet(scheduler.add_noise(clean, noise, t), t, text).sample, noise)


def check(folder):
    start, _ = run(folder, "start", learning_rate=1e-20, weight_decay=0)
    ours, losses = run(folder, "ours")
    pipe, hint = fresh(), [None]
    unet, embedding = hinted(pipe, start, hint)
    parameters = [p for p in unet.parameters() if p.requires_grad] + list(embedding.parameters())
    decayed = [p for p in parameters if p.ndim > 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0}],
                                  lr=RATE, eps=1e-8)
    for step, got in enumerate(losses):
        optimiser.zero_grad()
        loss = sum(loss_of(pipe, unet, hint, i, 2 * step + i) for i in range(2)) / 2
        loss.backward()
        print(f"# step {step + 1}: loss {got:.6f}, of PyTorch {loss.item():.6f}")
        assert abs(got - loss.item()) < 1e-4 * got, (got, loss.item())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    tensors, before = load_file(os.path.join(ours, FILE)), load_file(os.path.join(start, FILE))
    assert set(tensors) == {PREFIX + k for k in embedding.state_dict()}, sorted(tensors)
    worst = 0
    for key, value in embedding.state_dict().items():
        moved = (tensors[PREFIX + key] - before[PREFIX + key]).norm().item()
        off = (tensors[PREFIX + key] - value).norm().item()
        worst = max(worst, off / moved)
    print(f"# the embedding's tensors differ by {worst:.1e} of what they moved")
    assert worst < 0.02, worst
    # what the files say together
    again, _ = hinted(fresh(), ours, hint)
    hint[0] = floats(pictures(4)[0])
    generator = torch.Generator().manual_seed(1)
    given = (torch.randn(1, 4, 8, 8, generator=generator), torch.tensor([300]), torch.randn(1, 20, 16, generator=generator))
    with torch.no_grad():
        off, moved = (again(*given).sample - unet(*given).sample).abs().max().item(), unet(*given).sample.abs().max().item()
    assert off < 2e-3 * moved, (off, moved)


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(folder)
            print("ok 1 - hints: steps of controllable generation are those of PyTorch and diffusers' embedding", flush=True)
        except Exception as error:  # pylint: disable=broad-exception-caught
            print(f"not ok 1 - hints\n# {type(error).__name__}: {str(error)[:1500]}\n1..1", flush=True)
            return 1
    print("1..1")
    return 0


if __name__ == "__main__":
    sys.exit(main())

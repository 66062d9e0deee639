"""Proves that a subject-driven job (DreamBooth) is what diffusers and PEFT compute: a step with prior preservation, from the images to
the loss and the updated adapter, for HRA, LoRA and DoRA; and that PEFT loads the adapter onto diffusers' UNet. TAP lines."""

import io
import os
import sys
import tempfile
import zipfile

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE = os.path.abspath(os.path.join(HERE, "..", "worker", "diffusion", "pipeline"))
sys.path.insert(0, os.path.join(HERE, "..", "worker", "diffusion"))
from philox import latents, philox  # noqa: E402  (beside the pipeline)
from worker import train  # noqa: E402

TIMESTEP, POSTERIOR, NOISE = 6, 7, 8  # base/rng.h
INSTANCE, CLASS = 0, 1  # worker/train/image_training.c
SEED, SIDE, RATE, WEIGHT = 5, 16, 1e-2, 0.7
PROMPT, CLASS_PROMPT = "a photo of a red dog", "a photo of a dog"
CASES = {"HRA": ({"peft_type": "HRA", "r": 4}, 0), "LORA": ({"peft_type": "LORA", "r": 2, "init_lora_weights": "gaussian"}, 0),
         "DoRA": ({"peft_type": "LORA", "r": 2, "use_dora": True, "init_lora_weights": "gaussian"}, 0),
         "min-SNR": ({"peft_type": "HRA", "r": 4}, 0.5)}


def stream(kind, use, number):
    return kind | use << 8 | number << 16


def normal(kind, use, number, channels, side):
    count = channels * side * side
    u = (philox(SEED, stream(kind, use, number), (count + 1) // 2).reshape(-1)[:2 * count] >> np.uint64(8)).astype(np.float64) * 2.0 ** -24
    values = np.sqrt(-2 * np.log(1 - u[0::2])) * np.cos(2 * np.pi * u[1::2])
    return torch.from_numpy(values.astype(np.float32).reshape(side, side, channels).transpose(2, 0, 1)[None].copy())


def timestep(use, number, count):
    high, low = (int(word) for word in philox(SEED, stream(TIMESTEP, use, number), 1)[0][:2])
    return (high << 32 | low) % count


def images():
    rng = np.random.default_rng(3)
    return [Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(2)]


def run(folder, name, adapter, gamma, **hyperparameters):
    data = os.path.join(folder, "images.zip")
    with zipfile.ZipFile(data, "w") as archive:
        for i, image in enumerate(images()):
            out = io.BytesIO()
            image.save(out, "PNG")
            archive.writestr(f"{i}.png", out.getvalue())
    image = {"instance_prompt": PROMPT, "with_prior_preservation": True, "class_prompt": CLASS_PROMPT, "num_class_images": 1,
             "prior_loss_weight": WEIGHT, "num_inference_steps": 5, "resolution": SIDE, "snr_gamma": gamma}
    hyperparameters = {"max_steps": 1, "batch_size": 2, "shuffle": False, **hyperparameters}
    adapter, losses = train(folder, name, model_dir=PIPELINE, training={"id": "file-1", "path": data, "filename": "images.zip"},
                            spec={"model": "painter", "training_file": "file-1", "task": "subject-driven", "seed": SEED,
                                  "adapter": adapter, "image": image,
                                  "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}})
    return adapter, losses[0]


def class_image(pipe):
    image = pipe(CLASS_PROMPT, latents=torch.from_numpy(latents(SEED + (1 << 40), 4, SIDE // 2, SIDE // 2)), width=SIDE, height=SIDE,
                 num_inference_steps=5, guidance_scale=7.5, output_type="np").images[0]
    return Image.fromarray((image * 255).round().astype(np.uint8))


def loss_of(pipe, unet, image, prompt, use, number, gamma):
    pixels = torch.from_numpy((np.asarray(image, np.float32) / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        of_vae = pipe.vae.encode(pixels).latent_dist
        channels, side = of_vae.mean.shape[1], of_vae.mean.shape[2]
        clean = (of_vae.mean + of_vae.std * normal(POSTERIOR, use, number, channels, side)) * pipe.vae.config.scaling_factor
        text = pipe.encode_prompt(prompt, "cpu", 1, False)[0]
    noise = normal(NOISE, use, number, channels, side)
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    t = torch.tensor([timestep(use, number, scheduler.config.num_train_timesteps)])
    predicted = unet(scheduler.add_noise(clean, noise, t), t, text).sample
    kept = scheduler.alphas_cumprod[t].item()
    snr = kept / (1 - kept)
    return torch.nn.functional.mse_loss(predicted, noise) * (min(snr, gamma) / snr if gamma else 1)


def step(pipe, folder, gamma):
    """What diffusers' train_dreambooth does in a step: the loss, the model after it."""
    class_picture = class_image(pipe)
    unet = PeftModel.from_pretrained(pipe.unet, folder, is_trainable=True)
    loss = sum(loss_of(pipe, unet, image, PROMPT, INSTANCE, i, gamma) for i, image in enumerate(images())) / 2
    loss = loss + WEIGHT * sum(loss_of(pipe, unet, class_picture, CLASS_PROMPT, CLASS, i, gamma) for i in range(2)) / 2
    loss.backward()
    parameters = [p for p in unet.parameters() if p.requires_grad]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01, eps=1e-8).step()
    return loss.item(), unet


def predicted(unet):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return unet(torch.randn(1, 4, 8, 8, generator=generator), torch.tensor([300]), torch.randn(1, 20, 16, generator=generator)).sample


def fresh():
    pipe = StableDiffusionPipeline.from_pretrained(PIPELINE)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def check(folder, name):
    adapter, gamma = CASES[name]
    start, _ = run(folder, name + "-start", adapter, gamma, learning_rate=1e-20, weight_decay=0)
    ours, loss = run(folder, name, adapter, gamma, learning_rate=RATE)
    want, unet = step(fresh(), start, gamma)
    loaded = PeftModel.from_pretrained(fresh().unet, ours)
    base = predicted(fresh().unet)
    before, after, both = (predicted(PeftModel.from_pretrained(fresh().unet, start)), predicted(unet), predicted(loaded))
    moved, off = (after - before).abs().max().item(), (after - both).abs().max().item()
    tensors, theirs = load_file(os.path.join(ours, "adapter_model.safetensors")), load_file(os.path.join(start, "adapter_model.safetensors"))
    changed = sum(not torch.equal(tensors[key], theirs[key]) for key in tensors)
    print(f"# {name}: loss {loss:.6f}, of diffusers and PEFT {want:.6f}; the step moves the output by {moved:.2e}, ours is off by {off:.1e}")
    assert abs(loss - want) < 1e-4 * want, (loss, want)
    assert moved > 1e-4 and off < 0.02 * moved, (moved, off)
    assert changed > 0.4 * len(tensors), (changed, len(tensors))
    assert (after - base).abs().max() > 0


def main():
    torch.set_num_threads(1)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(CASES, 1):
            try:
                check(folder, name)
                print(f"ok {number} - subjects: a step with prior preservation is that of diffusers and PEFT: {name}", flush=True)
            except Exception as error:  # pylint: disable=broad-exception-caught
                failures += 1
                print(f"not ok {number} - subjects: {name}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
    print(f"1..{len(CASES)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

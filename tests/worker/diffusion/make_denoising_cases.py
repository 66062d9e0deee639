#!/usr/bin/env python3
"""Samplers and noising as diffusers computes them, for a model that is a formula: predicted = 0.5 x + 0.3 sin(3 x + t / 100).

usage: make_denoising_cases.py > denoising.json
"""
import json
import torch
import diffusers
from diffusers import DDPMScheduler

BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", trained_betas=None)
DDIM = dict(BASE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon")
PNDM = dict(BASE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon", timestep_spacing="leading")
EULER = dict(BASE, prediction_type="epsilon")
CASES = [
    ("DDIMScheduler", DDIM, 50), ("DDIMScheduler", dict(DDIM, prediction_type="v_prediction"), 50), ("DDIMScheduler", dict(DDIM, set_alpha_to_one=True, beta_schedule="linear"), 20),
    ("DDIMScheduler", dict(DDIM, timestep_spacing="trailing"), 7), ("DDIMScheduler", dict(DDIM, timestep_spacing="linspace"), 10),
    ("DPMSolverMultistepScheduler", dict(BASE, prediction_type="epsilon", timestep_spacing="leading", steps_offset=1), 50),
    ("DPMSolverMultistepScheduler", dict(BASE, prediction_type="v_prediction", timestep_spacing="linspace"), 50),
    ("DPMSolverMultistepScheduler", dict(BASE, prediction_type="epsilon", timestep_spacing="trailing"), 25),
    ("DPMSolverMultistepScheduler", dict(BASE, prediction_type="epsilon", timestep_spacing="leading", steps_offset=1), 5),
    ("DPMSolverMultistepScheduler", dict(BASE, prediction_type="epsilon", timestep_spacing="linspace"), 1),
    ("PNDMScheduler", PNDM, 50), ("PNDMScheduler", dict(PNDM, prediction_type="v_prediction"), 20), ("PNDMScheduler", dict(PNDM, timestep_spacing="trailing"), 7),
    ("PNDMScheduler", dict(PNDM, timestep_spacing="linspace", set_alpha_to_one=True), 10), ("PNDMScheduler", PNDM, 2), ("PNDMScheduler", PNDM, 1),
    ("EulerDiscreteScheduler", dict(EULER, timestep_spacing="leading", steps_offset=1), 50),
    ("EulerDiscreteScheduler", dict(EULER, timestep_spacing="linspace"), 30), ("EulerDiscreteScheduler", dict(EULER, timestep_spacing="linspace"), 1),
    ("EulerDiscreteScheduler", dict(EULER, timestep_spacing="trailing", prediction_type="v_prediction"), 7),
]


def run(name, config, steps):
    """Euler's sample is x / sqrt(a_t) there, and the model is asked of x; told is x."""
    scheduler = getattr(diffusers, name)(**config)
    scheduler.set_timesteps(steps)
    noise = torch.randn(8, generator=torch.Generator().manual_seed(3))
    x = noise * scheduler.init_noise_sigma
    case = dict(scheduler=name, config=config, steps=steps, timesteps=[float(t) for t in scheduler.timesteps], noise=noise.tolist(), samples=[])
    for i, t in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, t)
        predicted = 0.5 * seen + 0.3 * torch.sin(3 * seen + t / 100)
        x = scheduler.step(predicted, t, x).prev_sample
        told = x / (scheduler.sigmas[i + 1] ** 2 + 1) ** 0.5 if name == "EulerDiscreteScheduler" else x
        case["samples"].append(told.tolist())
    return case


def mix(config):
    scheduler = DDPMScheduler(**config)
    x, noise = (torch.randn(8, generator=torch.Generator().manual_seed(i)) for i in (4, 5))
    out = dict(config=config, sample=x.tolist(), noise=noise.tolist(), at=[])
    for t in (0, 1, 250, 500, 999):
        at = torch.tensor([t])
        target = scheduler.get_velocity(x[None], noise[None], at)[0] if config["prediction_type"] == "v_prediction" else noise
        out["at"].append(dict(t=t, noisy=scheduler.add_noise(x[None], noise[None], at)[0].tolist(), target=target.tolist(),
                              alpha=float(scheduler.alphas_cumprod[t])))
    return out


print(json.dumps(dict(samplers=[run(*c) for c in CASES],
                      mixes=[mix(dict(BASE, clip_sample=False, prediction_type=p)) for p in ("epsilon", "v_prediction")])))

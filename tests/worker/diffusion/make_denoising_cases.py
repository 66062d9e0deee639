#!/usr/bin/env python3
"""Samplers and noising as diffusers computes them, for a model that is a formula: predicted = 0.5 x + 0.3 sin(3 x + t / 100).

usage: make_denoising_cases.py > denoising.json
"""
import json
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", trained_betas=None)
DDIM = dict(BASE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon")
CASES = [
    ("ddim", DDIM, 50), ("ddim", dict(DDIM, prediction_type="v_prediction"), 50), ("ddim", dict(DDIM, set_alpha_to_one=True, beta_schedule="linear"), 20),
    ("ddim", dict(DDIM, timestep_spacing="trailing"), 7), ("ddim", dict(DDIM, timestep_spacing="linspace"), 10),
    ("dpm_solver_2m", dict(BASE, prediction_type="epsilon", timestep_spacing="leading", steps_offset=1), 50),
    ("dpm_solver_2m", dict(BASE, prediction_type="v_prediction", timestep_spacing="linspace"), 50),
    ("dpm_solver_2m", dict(BASE, prediction_type="epsilon", timestep_spacing="trailing"), 25),
    ("dpm_solver_2m", dict(BASE, prediction_type="epsilon", timestep_spacing="leading", steps_offset=1), 5),
    ("dpm_solver_2m", dict(BASE, prediction_type="epsilon", timestep_spacing="linspace"), 1),
]


def run(method, config, steps):
    scheduler = {"ddim": DDIMScheduler, "dpm_solver_2m": DPMSolverMultistepScheduler}[method](**config)
    scheduler.set_timesteps(steps)
    x = torch.randn(8, generator=torch.Generator().manual_seed(3)) * scheduler.init_noise_sigma
    case = dict(method=method, config=config, steps=steps, timesteps=[int(t) for t in scheduler.timesteps], start=x.tolist(), samples=[])
    for t in scheduler.timesteps:
        predicted = 0.5 * x + 0.3 * torch.sin(3 * x + t / 100)
        x = scheduler.step(predicted, t, x).prev_sample
        case["samples"].append(x.tolist())
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

"""Proves that images are those that diffusers makes of the same noise, by the unmodified openai client: with each sampler, sizes,
guidance and negative prompts; and that what the client can ask for and is not done is refused by name. TAP lines."""

import base64
import io
import os
import sys

import diffusers
import numpy as np
import openai
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from daemon import Daemon
from steps import refused, run_beside

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE = os.path.join(HERE, "..", "worker", "diffusion", "pipeline")
sys.path.insert(0, os.path.join(HERE, "..", "worker", "diffusion"))
from philox import latents  # noqa: E402  (beside the pipeline)

MODEL = "painter"
SCHEDULERS = ["DDIMScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler", "EulerDiscreteScheduler"]


class Images:
    def __init__(self, daemon):
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0, timeout=300)
        self.pipeline = StableDiffusionPipeline.from_pretrained(PIPELINE)
        self.pipeline.set_progress_bar_config(disable=True)
        self.config = self.pipeline.scheduler.config

    def generate(self, prompt, n=1, size="auto", **more):
        answer = self.client.images.generate(model=MODEL, prompt=prompt, n=n, size=size, response_format="b64_json", extra_body=more)
        assert answer.output_format == "png" and len(answer.data) == n, answer
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(image.b64_json)))) for image in answer.data], answer

    def diffusers(self, prompt, seed, width=16, height=16, steps=50, guidance=7.5, negative=None, scheduler="PNDMScheduler"):
        self.pipeline.scheduler = getattr(diffusers, scheduler).from_config(self.config, clip_sample=False)
        start = torch.from_numpy(latents(seed, 4, height // 2, width // 2))
        image = self.pipeline(prompt, negative_prompt=negative, latents=start, width=width, height=height, num_inference_steps=steps,
                              guidance_scale=guidance, output_type="np").images[0]
        return (image * 255).round().astype(np.uint8)

    def same(self, got, want, what):
        assert got.shape == want.shape, (what, got.shape, want.shape)
        off = np.abs(got.astype(int) - want.astype(int))
        print(f"# {what}: {np.mean(off > 0):.1%} of the values are off, by {off.max()} at most; deviation of the image {want.std():.0f}")
        assert off.max() <= 1 and np.mean(off > 0) < 0.02, what

    def step_1_an_image_by_the_defaults(self):
        (got,), answer = self.generate("a photo of a dog", seed=11)
        assert answer.size == "16x16" and answer.created > 0
        self.same(got, self.diffusers("a photo of a dog", 11), "defaults")

    def step_2_sizes_samplers_and_guidance(self):
        for scheduler in SCHEDULERS:
            (got,), _ = self.generate("A painting of the SEA, 2 cats!", size="32x16", seed=2 ** 33 + 5, num_inference_steps=20, guidance_scale=3,
                                      negative_prompt="a red house", scheduler=scheduler)
            self.same(got, self.diffusers("A painting of the SEA, 2 cats!", 2 ** 33 + 5, 32, 16, 20, 3, "a red house", scheduler), scheduler)
        (got,), _ = self.generate("a bird", seed=3, num_inference_steps=7, guidance_scale=1)
        self.same(got, self.diffusers("a bird", 3, steps=7, guidance=1), "without guidance")

    def step_3_several_images_have_seeds_of_their_own(self):
        images, answer = self.generate("a dog", n=3, seed=100, num_inference_steps=5)
        for i, image in enumerate(images):
            assert answer.data[i].seed == 100 + i
            self.same(image, self.diffusers("a dog", 100 + i, steps=5), f"seed {100 + i}")
        first, one = self.generate("a dog", num_inference_steps=3)
        again, _ = self.generate("a dog", num_inference_steps=3, seed=one.data[0].seed)
        assert np.array_equal(first[0], again[0]), "a seed that was drawn gives the image again"

    def step_4_what_is_not_done_is_refused_by_name(self):
        for more in ({"response_format": "url"}, {"quality": "hd"}, {"style": "vivid"}, {"background": "transparent"},
                     {"output_format": "webp"}, {"size": "1024x1792"}, {"n": 11}):
            error = refused(openai.BadRequestError, lambda more=more: self.client.images.generate(model=MODEL, prompt="a dog", **more))
            assert error.param == next(iter(more)), (more, error)
        error = refused(openai.BadRequestError, lambda: self.client.images.generate(model=MODEL, prompt="a dog " * 30))
        assert error.param == "prompt" and "the text encoder reads 20" in str(error), error
        refused(openai.NotFoundError, lambda: self.client.images.generate(model="nobody", prompt="a dog"))

    def step_5_the_model_says_what_it_is_good_for(self):
        model = self.client.models.retrieve(MODEL)
        assert model.usable and model.capabilities["tasks"] == ["TEXT_TO_IMAGE"], model
        assert model.capabilities["image"]["size"] == "16x16", model


def main():
    torch.set_num_threads(1)
    return run_beside(Daemon({MODEL: PIPELINE}), Images, "images")


if __name__ == "__main__":
    sys.exit(main())

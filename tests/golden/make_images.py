#!/usr/bin/env python3
"""Reference cases of diffusion pipelines' components, in the form of make_golden.py's cases, smaller; diffusers is needed.

usage: make_images.py OUT_DIR [NAME...]
"""
import json, os, sys
import torch, transformers
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from safetensors.torch import load_file, save_file
import make_golden as golden

UNET = dict(sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32, attention_head_dim=2)
# What Stable Diffusion 2.x has otherwise: linear projections, heads of one width; and three levels, two layers each.
SECOND = UNET | dict(block_out_channels=(8, 8, 16), down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                     up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=(1, 2, 4),
                     use_linear_projection=True, layers_per_block=2)
VAE = dict(block_out_channels=(4, 8), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
           latent_channels=2, norm_num_groups=2, layers_per_block=1, sample_size=32)
CLIP = dict(vocab_size=99, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=16, projection_dim=16, eos_token_id=98, bos_token_id=97, pad_token_id=98)

golden.TARGETS |= {
    # every linear layer: of the time embedding and the feed-forward too
    "unet-linear": ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "time_emb_proj", "linear_1", "linear_2"],
    # convolutions of all kinds: with strides, of one pixel, at both ends
    "unetconv": ["to_q", "conv1", "conv2", "conv_shortcut", "proj_in", "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "conv_out"],
}
# name: what its targets are called, the UNet, the method
UNETS = {
    "unet-hra": ("unet", UNET, "hra"),
    "unet-hra_gs": ("unet", UNET, "hra_gs"),
    "unet-oft": ("unet", UNET, "oft"),
    "unet-linear-lora": ("unet-linear", UNET, "lora"),
    "unet-second-hra": ("unet", SECOND, "hra"),
    "unetconv-hra": ("unetconv", UNET, "hra"),
    "unetconv-hra_reg": ("unetconv", UNET, "hra_reg"),
    "unetconv-lora": ("unetconv", UNET, "lora"),
}
# DreamBooth with prior preservation: two pictures of the instance, then two of its class, in one batch. Their latents and noise are what
# is given: the noisy latents and what is to be predicted of them follow from the scheduler.
SCHEDULE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False, steps_offset=1)
DREAMBOOTH = {
    "dreambooth-hra": ("hra", dict(SCHEDULE, prediction_type="epsilon"), 0.7),
    "dreambooth-v-lora": ("lora", dict(SCHEDULE, prediction_type="v_prediction"), 1.0),
}
# Conditioned on hints, as HRA's authors have it: diffusers' embedding, trained too, added to what conv_in gives.
HINTS = {"unet-hint-hra": ("unet", UNET, "hra")}
PLAIN = {
    "clip": ("clip", lambda: transformers.CLIPTextModel(transformers.CLIPTextConfig(**CLIP))),
    "clip-gelu": ("clip", lambda: transformers.CLIPTextModel(transformers.CLIPTextConfig(hidden_act="gelu", **CLIP))),
    "vae": ("vae", lambda: AutoencoderKL(**VAE)),
}

# Encoders whose embeddings are compared; pixels are 8-bit and normalised by their processors already.
VISION = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=12, patch_size=4)
ENCODERS = {
    "clip-model": lambda: transformers.CLIPModel(transformers.CLIPConfig(text_config=CLIP, vision_config=VISION, projection_dim=8)),
    "vit-dino": lambda: transformers.ViTModel(transformers.ViTConfig(**VISION), add_pooling_layer=False),
    # Its pictures are smaller than those that its position embeddings are for.
    "dinov2": lambda: scaled(transformers.Dinov2Model(transformers.Dinov2Config(**VISION | dict(image_size=28, mlp_ratio=3)))),
}


def scaled(model):
    """LayerScale and the biases as trained models have them, not all the same."""
    g = torch.Generator().manual_seed(5)
    for name, p in model.named_parameters():
        if "lambda1" in name or name.endswith(".bias"):
            p.data = torch.rand(p.shape, generator=g) + 0.5 * ("lambda1" in name)
    return model


def encoder(out, name, model):
    """Embeddings of length 1: CLIP's projected ones, and the class token of ViT."""
    folder = os.path.join(out, name)
    model.eval().save_pretrained(os.path.join(folder, "model"))
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        pixels = torch.randn(2, 3, 12, 12, generator=g)
        io = {"in.pixel_values": pixels}
        if name == "clip-model":
            ids = torch.randint(0, 97, (2, 9), generator=g)
            ids[:, 0], ids[:, 8] = 97, 98
            result = model(input_ids=ids, pixel_values=pixels)
            io |= {"in.input_ids": ids, "out.text_embeds": result.text_embeds, "out.image_embeds": result.image_embeds}
        else:
            state = model(pixels).last_hidden_state[:, 0]
            io["out.image_embeds"] = state / state.norm(dim=-1, keepdim=True)
    save_file({k: v.contiguous() for k, v in io.items()}, os.path.join(folder, "io.safetensors"))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump(dict(name=name, model="vit" if name == "vit-dino" else name, method=None), f)


def older(folder):
    """AutoencoderKL's attention as files of Stable Diffusion 1.5 have it."""
    path = os.path.join(folder, "model", "diffusion_pytorch_model.safetensors")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for key, value in load_file(path).items():
        for new, old in names.items():
            if f".{new}." in key:
                key = key.replace(new, old)
                value = value[:, :, None, None].contiguous() if value.ndim == 2 else value
        tensors[key] = value
    save_file(tensors, path)


def dreambooth(out, name, method, config, weight):
    """golden.run with train_dreambooth's batch and loss."""
    scheduler = DDPMScheduler.from_config(dict(config, clip_sample=False))

    def batch(kind, cfg):
        torch.manual_seed(99)
        b = dict(latents=torch.randn(4, 4, 8, 8), noise=torch.randn(4, 4, 8, 8), timestep=torch.tensor([3, 401, 250, 999]),
                 encoder_hidden_states=torch.randn(4, 5, UNET["cross_attention_dim"]))
        epsilon = config["prediction_type"] == "epsilon"
        b["target"] = b["noise"].clone() if epsilon else scheduler.get_velocity(b["latents"], b["noise"], b["timestep"])
        return b

    def loss_of(kind, model, b, reg):
        noisy = scheduler.add_noise(b["latents"], b["noise"], b["timestep"])
        predicted = model(noisy, b["timestep"], b["encoder_hidden_states"]).sample
        instance, of_class = torch.chunk(predicted, 2)
        target, prior = torch.chunk(b["target"], 2)
        mse = torch.nn.functional.mse_loss
        return predicted, mse(instance, target) + weight * mse(of_class, prior)

    golden.tiny = lambda *_, **__: (lambda m: (m, m.config))(UNet2DConditionModel(**UNET))
    golden.batch, golden.loss_of = batch, loss_of
    golden.run(out, name, "unet", method, r=4)
    path = os.path.join(out, name, "case.json")
    with open(path) as f:
        case = json.load(f)
    case |= dict(scheduler=config, prior_loss_weight=weight)
    with open(path, "w") as f:
        json.dump(case, f, indent=1)


def with_hints(out, name, config, kind, method):
    """The UNet, whose hints are twice as high and wide as its latents."""
    hints = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(11))
    embedding = ControlNetConditioningEmbedding(config["block_out_channels"][0], block_out_channels=(16, 32))
    start, batch, get_peft_model = golden.tiny, golden.batch, golden.get_peft_model

    def adapted(model, spec):
        model = get_peft_model(model, spec)
        unet = model.get_base_model()
        unet.controlnet_cond_embedding = embedding
        unet.conv_in.register_forward_hook(lambda module, given, output: output + embedding(hints))
        save = model.save_pretrained

        def save_both(folder):
            save(folder)
            tensors = {f"controlnet_cond_embedding.{k}": v.contiguous() for k, v in embedding.state_dict().items()}
            save_file(tensors, os.path.join(folder, "conditioning_embedding.safetensors"))
        model.save_pretrained = save_both
        return model

    golden.batch = lambda *given: batch(*given) | {"hint": hints}
    golden.get_peft_model = adapted
    golden.run(out, name, kind, method, r=4)
    golden.batch, golden.get_peft_model = batch, get_peft_model
    path = os.path.join(out, name, "io.safetensors")
    save_file({k.replace("base_model.model.controlnet", "controlnet"): v for k, v in load_file(path).items()}, path)


if __name__ == "__main__":
    out, want = sys.argv[1], sys.argv[2:]
    torch.set_num_threads(1)
    for name, (kind, config, method) in UNETS.items():
        if not want or name in want:
            golden.tiny = lambda *_, config=config, **__: (lambda m: (m, m.config))(UNet2DConditionModel(**config))
            golden.run(out, name, kind, method, r=4, reg=golden.REG if method == "hra_reg" else 0.0)
    for name, (kind, config, method) in HINTS.items():
        if not want or name in want:
            golden.tiny = lambda *_, config=config, **__: (lambda m: (m, m.config))(UNet2DConditionModel(**config))
            with_hints(out, name, config, kind, method)
    for name, (kind, make) in PLAIN.items():
        if not want or name in want:
            golden.tiny = lambda *_, make=make: (lambda m: (m, m.config))(make())
            golden.plain(out, name, kind)
    if not want or "vae-older" in want:
        golden.tiny = lambda *_: (lambda m: (m, m.config))(AutoencoderKL(**VAE))
        golden.plain(out, "vae-older", "vae")
        older(os.path.join(out, "vae-older"))
    for name, (method, config, weight) in DREAMBOOTH.items():
        if not want or name in want:
            dreambooth(out, name, method, config, weight)
    for name, make in ENCODERS.items():
        if not want or name in want:
            torch.manual_seed(0)
            encoder(out, name, make())

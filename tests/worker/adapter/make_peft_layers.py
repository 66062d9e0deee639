"""Makes peft_layers.json and peft_layers.safetensors for test_peft_layers.c: one linear layer a case, adapted by
PEFT with random parameters; its output, gradients and merged weight.
    python3 tests/worker/adapter/make_peft_layers.py        (torch, peft 0.21.2, safetensors)
"""
import json
import pathlib

import torch
from peft import BOFTConfig, LoraConfig, OFTConfig, HRAConfig, get_peft_model
from safetensors.torch import save_file

CONFIGS = {"LORA": LoraConfig, "OFT": OFTConfig, "BOFT": BOFTConfig, "HRA": HRAConfig}
PATH = "layer.3.dense"
# name, inputs, deviation of the parameters, PEFT's config
CASES = [
    ("hra", 24, 0.5, {"peft_type": "HRA", "r": 4}),
    ("hra gram-schmidt", 24, 0.5, {"peft_type": "HRA", "r": 3, "apply_GS": True, "init_weights": False}),
    ("lora", 24, 0.5, {"peft_type": "LORA", "r": 3, "lora_alpha": 5}),
    ("lora rank-stabilised", 24, 0.5, {"peft_type": "LORA", "r": 9, "lora_alpha": 5, "use_rslora": True}),
    ("lora patterns", 24, 0.5, {"peft_type": "LORA", "rank_pattern": {"ense": 1, r"layer\.\d\.dense": 5, "dense": 2},
                               "alpha_pattern": {"^dense": 1, "3.dense": 7, "dense": 2}}),
    ("oft", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8}),
    ("oft 2 terms", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "num_cayley_neumann_terms": 2}),
    ("oft 3 terms", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "num_cayley_neumann_terms": 3}),
    ("oft 4 terms", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "num_cayley_neumann_terms": 4}),
    ("oft 9 terms", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "num_cayley_neumann_terms": 9}),
    ("oft exact", 24, 0.3, {"peft_type": "OFT", "oft_block_size": 8, "use_cayley_neumann": False}),
    ("oft odd block", 21, 0.3, {"peft_type": "OFT", "oft_block_size": 7, "use_cayley_neumann": False}),
    ("oft by blocks", 24, 0.1, {"peft_type": "OFT", "r": 3, "oft_block_size": 0}),
    ("oft size between divisors", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 5}),
    ("oft size beyond the inputs", 21, 0.1, {"peft_type": "OFT", "oft_block_size": 32}),
    ("oft blocks between divisors", 24, 0.1, {"peft_type": "OFT", "r": 7, "oft_block_size": 0}),
    ("oft shared", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 6, "block_share": True}),
    ("oft constrained", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "coft": True, "eps": 0.4}),
    ("oft constrained, inside", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "coft": True, "eps": 40.0}),
    ("oft constrained, shared", 24, 0.1, {"peft_type": "OFT", "oft_block_size": 8, "coft": True, "eps": 0.4,
                                          "block_share": True, "use_cayley_neumann": False}),
    ("boft", 24, 0.5, {"peft_type": "BOFT"}),
    ("boft by blocks", 24, 0.5, {"peft_type": "BOFT", "boft_block_size": 0, "boft_block_num": 3}),
    ("boft odd block", 21, 0.5, {"peft_type": "BOFT", "boft_block_size": 3, "boft_n_butterfly_factor": 1}),
]


class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = torch.nn.ModuleList(torch.nn.Module() for _ in range(4))
        self.layer[3].dense = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.layer[3].dense(x)


def main():
    rows, outputs = 6, 10
    tensors, cases = {}, []
    for index, (name, inputs, deviation, config) in enumerate(CASES):
        torch.manual_seed(inputs)
        net, x = Net(inputs, outputs), torch.randn(rows, inputs, requires_grad=True)
        base = f"{inputs}"
        tensors |= {f"{base}.x": x.detach().clone(), f"{base}.weight": net.layer[3].dense.weight.detach().clone(),
                    f"{base}.bias": net.layer[3].dense.bias.detach().clone()}
        members = {k: v for k, v in config.items() if k != "peft_type"}
        model = get_peft_model(net, CONFIGS[config["peft_type"]](target_modules=["dense"], **members)).float()
        trained = {n.split(PATH + ".")[1].replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}
        torch.manual_seed(100 + index)
        for suffix, p in trained.items():
            p.data = torch.randn_like(p) * deviation + (suffix == "boft_s")
            tensors[f"{index}.{suffix}"] = p.data.clone()
        y = model(x)
        weights = 0.25 * (torch.arange(y.numel()) * 5 % 7) - 0.6  # tests/worker/engine_impl.h's loss
        (y.flatten() * weights).sum().backward()
        for suffix, p in trained.items():
            tensors[f"{index}.grad.{suffix}"] = p.grad.clone()
            if config.get("coft"):
                tensors[f"{index}.projected.{suffix}"] = p.data.clone()
        tensors |= {f"{index}.y": y.detach().clone(), f"{index}.grad.x": x.grad.clone()}
        merged = model.merge_and_unload()
        tensors[f"{index}.merged"] = merged.layer[3].dense.weight.detach().clone()
        cases.append({"name": name, "inputs": inputs, "parameters": sorted(trained), "adapter": config})
    here = pathlib.Path(__file__).parent
    save_file({k: v.contiguous() for k, v in tensors.items()}, here / "peft_layers.safetensors")
    (here / "peft_layers.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()

"""One run of docs/comparison.md in PyTorch, Transformers and PEFT, with the settings of `reflect bench`: prints the
metric after each epoch, and the mean loss of each, as JSON. One thread.

usage: glue_peft.py MODEL FOLDER cola|sst2 hra|lora SEED

FOLDER has the task's TSVs: in_domain_train, in_domain_dev and out_of_domain_dev, or train and dev."""

import csv
import json
import sys
import time

import torch
from peft import HRAConfig, LoraConfig, get_peft_model
from peft.tuners.hra import layer as hra
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

EPOCHS, BATCH, WARMUP = 3, 32, 0.06
CONFIGS = {"hra": (HRAConfig(r=8, target_modules="all-linear", task_type="SEQ_CLS"), 2e-3),
           "lora": (LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="SEQ_CLS"), 1e-3)}


def rows(task, folder, kind):
    def table(name):
        with open(f"{folder}/{name}", newline="") as file:
            return [r for r in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if r[1] != "label"]
    if task == "sst2":
        return [(r[0], int(r[1])) for r in table(f"{kind}.tsv")]
    names = ["in_domain_train.tsv"] if kind == "train" else ["in_domain_dev.tsv", "out_of_domain_dev.tsv"]
    return [(r[3], int(r[1])) for name in names for r in table(name)]


def metric(task, said, true):
    if task == "sst2":
        return (said == true).float().mean().item()
    tp, tn = ((said == 1) & (true == 1)).sum().item(), ((said == 0) & (true == 0)).sum().item()
    fp, fn = ((said == 1) & (true == 0)).sum().item(), ((said == 0) & (true == 1)).sum().item()
    below = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    return (tp * tn - fp * fn) / below if below else 0.0


class OnActivations:
    """PEFT multiplies HRA's reflections one by one into a d x d matrix, and the weight by it. W H1 ... Hr on x is W on
    x - x U M^-T U^T, with U's columns of length one and M = 1/2 on the diagonal, U^T U above it (compact WY): the same,
    for a fraction of the time. `apart`: how far the logits are from those of PEFT's own forward when all is trained."""
    peft = hra.HRALinear.forward

    @staticmethod
    def forward(layer, x, *args, **kwargs):
        u = layer.hra_u["default"]
        u = u / u.norm(dim=0)
        m = torch.triu(u.T @ u, 1) + torch.eye(u.shape[1]) / 2
        core = torch.linalg.solve_triangular(m, torch.eye(u.shape[1]), upper=True)
        return layer.base_layer(x - (x @ u) @ core.T @ u.T)


def main(base, folder, task, method, seed):
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    config, lr = CONFIGS[method]
    model = get_peft_model(AutoModelForSequenceClassification.from_pretrained(base, num_labels=2), config)

    def encode(batch):
        x = tokenizer([t for t, _ in batch], padding=True, truncation=True, max_length=128, return_tensors="pt")
        return x, torch.tensor([label for _, label in batch])

    def evaluate():
        model.eval()
        said, true = [], []
        with torch.inference_mode():
            for i in range(0, len(dev), 64):
                x, y = encode(dev[i:i + 64])
                said.append(model(**x).logits.argmax(-1))
                true.append(y)
        model.train()
        return metric(task, torch.cat(said), torch.cat(true))

    hra.HRALinear.forward = OnActivations.forward
    train, dev = rows(task, folder, "train"), rows(task, folder, "dev")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
    steps = EPOCHS * -(-len(train) // BATCH)
    scheduler = get_linear_schedule_with_warmup(optimizer, int(-(-steps * WARMUP // 1)), steps)
    values, losses, began = [], [], time.time()
    model.train()
    for _ in range(EPOCHS):
        order, total = torch.randperm(len(train)).tolist(), 0.0
        for i in range(0, len(order), BATCH):
            x, y = encode([train[k] for k in order[i:i + BATCH]])
            loss = model(**x, labels=y).loss
            loss.backward()
            total += loss.item() * len(y)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        losses.append(round(total / len(train), 4))
        values.append(round(evaluate(), 4))
    model.eval()
    with torch.inference_mode():
        x, _ = encode(dev[:64])
        ours = model(**x).logits
        hra.HRALinear.forward = OnActivations.peft
        apart = (model(**x).logits - ours).abs().max().item()
    print(json.dumps({"task": task, "method": method, "seed": seed, "trained": sum(p.numel() for p in trained),
                      "losses": losses, "metrics": values, "best": max(values), "apart": apart,
                      "seconds": round(time.time() - began)}), flush=True)


main(*sys.argv[1:5], int(sys.argv[5]))

#!/usr/bin/env python3
"""Reference cases of preference tuning, computed by TRL's own trainers, in the form of make_golden.py's cases.

usage: make_preferences.py OUT_DIR [NAME...]

in.input_ids has the chosen completions of all pairs, then the rejected ones; of KTO the completions, then those with the
next prompt. in.labels is -100 where a token is not a completion's. in.desirable: KTO's labels.
out.reference has the log-probability of each row's completion with the adapter switched off.
"""
import json, os, shutil, sys, uuid
import datasets, tokenizers, torch, transformers, peft, trl
from datasets import Dataset
from safetensors.torch import save_file
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
import make_golden as golden

datasets.fingerprint.Hasher.hash = classmethod(lambda cls, value: uuid.uuid4().hex)  # some versions of pyarrow cannot be pickled
EOS, PAD, FIRST = 2, 0, 3
# name: (kind, method, options of TRL, the job's hyperparameters)
CASES = {
    "dpo-hra": ("dpo", "hra", dict(beta=0.3), dict(beta=0.3)),
    "dpo-hra_gs": ("dpo", "hra_gs", dict(beta=0.1), dict(beta=0.1)),
    "dpo-lora": ("dpo", "lora", dict(beta=0.1, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5]), dict(beta=0.1, rpo_alpha=0.5)),
    "dpo-oft": ("dpo", "oft", dict(beta=0.5, loss_type=["robust"], label_smoothing=0.2), dict(beta=0.5, loss_type="robust", label_smoothing=0.2)),
    "dpo-boft": ("dpo", "boft", dict(beta=0.2, loss_type=["ipo"]), dict(beta=0.2, loss_type="ipo")),
    "orpo-hra": ("orpo", "hra", dict(beta=0.4), dict(beta=0.4, train_on_inputs=True)),
    "orpo-lora": ("orpo", "lora", dict(beta=0.1), dict(beta=0.1, train_on_inputs=True)),
    "kto-hra": ("kto", "hra", dict(beta=0.3, undesirable_weight=1.5), dict(beta=0.3, undesirable_weight=1.5)),
    "kto-lora": ("kto", "lora", dict(beta=0.1, desirable_weight=0.8), dict(beta=0.1, desirable_weight=0.8)),
}
EXAMPLES = 4


def tokenizer():
    """Token i is the word wi."""
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({f"w{i}": i for i in range(99)}, unk_token="w1"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token=f"w{EOS}", pad_token=f"w{PAD}", unk_token="w1")


def texts(kind):
    g = torch.Generator().manual_seed(7)
    draw = lambda n: " ".join(f"w{i}" for i in torch.randint(FIRST, 99, (n,), generator=g).tolist())
    pairs = [dict(prompt=draw(3 + 2 * i), chosen=" " + draw(9 - i) + f" w{EOS}", rejected=" " + draw(4 + 2 * i) + f" w{EOS}") for i in range(EXAMPLES)]
    if kind != "kto":
        return Dataset.from_list(pairs)
    return Dataset.from_list([dict(prompt=p["prompt"], completion=p["chosen"], label=i % 3 != 1) for i, p in enumerate(pairs)])


def trainer_of(kind, model, options, config):
    trainers = {"dpo": (DPOConfig, DPOTrainer), "orpo": (ORPOConfig, ORPOTrainer), "kto": (KTOConfig, KTOTrainer)}
    make_args, make = trainers[kind]
    if kind == "kto":
        options = dict(options, train_sampling_strategy="sequential")
    args = make_args(output_dir="/tmp/trl", per_device_train_batch_size=EXAMPLES, report_to="none", use_cpu=True, bf16=False, max_length=64,
                     gradient_checkpointing=False, remove_unused_columns=False, disable_dropout=True, **options)
    return make(model=model, args=args, train_dataset=texts(kind), processing_class=tokenizer(), peft_config=config)


def rows_of(kind, batch):
    """ids, mask, labels of both halves."""
    if kind == "dpo":
        ids, mask, completion = batch["input_ids"], batch["attention_mask"], batch["completion_mask"]
        return ids, mask, ids.masked_fill(completion == 0, -100)
    if kind == "orpo":
        parts = [[batch[f"{p}_{k}"] for p in ("chosen", "rejected")] for k in ("input_ids", "attention_mask", "labels")]
    else:
        own = [batch["input_ids"], batch["attention_mask"], batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)]
        other = [batch["KL_input_ids"], batch["KL_attention_mask"], batch["KL_input_ids"].masked_fill(batch["KL_completion_mask"] == 0, -100)]
        parts = [list(p) for p in zip(own, other)]
    width = max(p.shape[1] for p in parts[0])
    wide = lambda x, fill: torch.nn.functional.pad(x, (0, width - x.shape[1]), value=fill)
    return tuple(torch.cat([wide(x, fill) for x in part]) for part, fill in zip(parts, (PAD, 0, -100)))


def logps_of(model, ids, mask, labels):
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
    want = labels[:, 1:]
    picked = logits.gather(2, want.clamp(min=0)[:, :, None])[:, :, 0]
    return (picked * (want != -100)).sum(1), logits


def run(out, name):
    kind, method, options, job = CASES[name]
    d = os.path.join(out, name)
    shutil.rmtree(d, ignore_errors=True)
    os.makedirs(d)
    torch.manual_seed(0)
    model, _ = golden.tiny("llama")
    with torch.no_grad():
        for _, p in model.named_parameters():
            if p.ndim == 1:
                p.add_(torch.randn_like(p) * 0.1)
    model.save_pretrained(os.path.join(d, "model"))
    trainer = trainer_of(kind, model, options, golden.adapter("llama", method, 8))
    pm = trainer.model
    torch.manual_seed(1)
    with torch.no_grad():
        for n, p in pm.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * (0.3 if "hra" in n else 0.05))
    pm.save_pretrained(os.path.join(d, "adapter"))
    batch = next(iter(trainer.get_train_dataloader())) if kind == "kto" else trainer.data_collator([trainer.train_dataset[i] for i in range(EXAMPLES)])
    pm.train()
    key = lambda n: n.replace(".default", "").replace(".modules_to_save", "")
    train = {key(n): p for n, p in pm.named_parameters() if p.requires_grad}
    ids, mask, labels = rows_of(kind, batch)
    with torch.no_grad():
        _, logits = logps_of(pm, ids, mask, labels)
        with pm.disable_adapter():
            reference, _ = logps_of(pm, ids, mask, labels)
        full = pm(input_ids=ids, attention_mask=mask).logits
    io = {"in.input_ids": ids, "in.attention_mask": mask, "in.labels": labels, "in.texts": torch.tensor([2]), "out.reference": reference.float(),
          "out.logits": full.float().contiguous()}
    if kind == "kto":
        io["in.desirable"] = torch.as_tensor(batch["label"]).long()
    loss_of = lambda: trainer.compute_loss(pm, {k: v for k, v in batch.items()})
    loss = loss_of()
    loss.backward()
    io["loss"] = loss.detach().float().reshape(1)
    io.update(golden.flat("grad.", {k: p.grad for k, p in train.items()}))
    opt = torch.optim.AdamW(train.values(), lr=golden.LR, weight_decay=golden.WD, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(golden.STEPS):
        opt.zero_grad()
        loss = loss_of()
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(list(train.values()), 1.0)
        opt.step()
    io["step.loss"] = torch.tensor(losses)
    io.update(golden.flat("step.", train))
    first = next((n, m) for n, m in pm.named_modules() if hasattr(m, "merge") and hasattr(m, "base_layer"))
    first[1].merge()
    n = first[0].removeprefix("base_model.model.")
    io[f"merged.{n}.weight"] = first[1].get_base_layer().weight.detach().float().contiguous().clone()
    case = dict(name=name, model="llama", method=method, lambda_=0.0, steps=golden.STEPS, preference=dict(objective=kind, **job),
                optimizer=dict(name="adamw", lr=golden.LR, betas=[0.9, 0.999], eps=1e-8, weight_decay=golden.WD, max_grad_norm=1.0, schedule="constant"),
                versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, trl=trl.__version__))
    save_file(io, os.path.join(d, "io.safetensors"))
    json.dump(case, open(os.path.join(d, "case.json"), "w"), indent=1)
    print(f"{name:12} loss {float(io['loss']):.5f} -> {losses[-1]:.5f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[2:] or CASES:
        run(sys.argv[1], name)

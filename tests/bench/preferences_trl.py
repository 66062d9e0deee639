"""TRL's side of tests/bench/preferences: prints one JSON line. Arguments: model folder, pairs, method, batch, steps,
tokens at most, threads."""
import json, resource, statistics, sys, tempfile, time
import datasets, torch, transformers, trl
from peft import HRAConfig, LoraConfig

model, pairs, method, batch, steps, tokens, threads = *sys.argv[1:4], *map(int, sys.argv[4:8])
torch.set_num_threads(threads)
with open(pairs, encoding="utf-8") as file:
    rows = datasets.Dataset.from_list([json.loads(line) for line in file])
adapter = HRAConfig if method == "hra" else LoraConfig
times, losses = [], []


class Watch(transformers.TrainerCallback):
    def on_step_begin(self, *_, **__):
        times.append(time.perf_counter())

    def on_step_end(self, *_, **__):
        times[-1] = time.perf_counter() - times[-1]

    def on_log(self, args, state, control, logs=None, **__):
        losses.extend([logs["loss"]] if "loss" in logs else [])


with tempfile.TemporaryDirectory() as folder:
    settings = trl.DPOConfig(output_dir=folder, per_device_train_batch_size=batch, max_steps=steps, learning_rate=1e-4, beta=0.1, warmup_steps=0,
                             max_length=tokens, logging_steps=1, report_to="none", save_strategy="no", use_cpu=True, bf16=False,
                             gradient_checkpointing=False, disable_dropout=True, disable_tqdm=True, seed=1)
    trainer = trl.DPOTrainer(model=transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), args=settings, train_dataset=rows,
                             processing_class=transformers.AutoTokenizer.from_pretrained(model), callbacks=[Watch()],
                             peft_config=adapter(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    trainer.train()
print(json.dumps({"seconds": statistics.median(times[1:]), "losses": losses,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))

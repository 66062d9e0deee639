"""Proves that what a base model and its adapters (HRA, LoRA) are asked is answered, greedily and token by token, as
Transformers and PEFT answer it. TAP lines. Environment: PROMPTS (6) and TOKENS (24), how much of it.

Where two tokens are as likely as rounding can tell, either may come: such a place is told, with how far apart their
logits are in Transformers, and the comparison of that prompt ends there."""

import json
import os
import sys
import tarfile
import tempfile
import time
import urllib.request

import openai
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from daemon import Daemon
from steps import run_beside

MODEL, NEAR = "smollm2.gguf", 1e-3
PROMPTS, TOKENS = int(os.environ.get("PROMPTS", 6)), int(os.environ.get("TOKENS", 24))
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SUBJECTS = ["the sea", "a lamp", "two trains", "my grandmother's garden", "the number seven", "an old map", "rain", "a violin",
            "the moon", "bread"]
BEGINNINGS = ["Here is what I know about {}:", "Once upon a time there was {}.", "Q: What is the use of {}?\nA:",
              "A recipe for {}\n\n1.", "def describe():\n    \"\"\"Says something of {}.\"\"\"\n"]
CHATS = [{"messages": [{"role": "user", "content": f"What is {a} plus {b}?"},
                       {"role": "assistant", "content": f"{a} plus {b} is {a + b}."}]} for a in range(6) for b in range(6)]


def prompts():
    every = [beginning.format(subject) for subject in SUBJECTS for beginning in BEGINNINGS]
    return [every[(i * 7) % len(every)] for i in range(PROMPTS)]


class Generation:
    def __init__(self, daemon):
        self.url = daemon.url
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0, timeout=600)
        self.folder = tempfile.mkdtemp(prefix="reflectd-generation-")
        place, name = os.path.split(os.environ["SMOLLM2"])
        self.tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=name)
        self.base = lambda: AutoModelForCausalLM.from_pretrained(place, gguf_file=name, dtype=torch.float32).eval()

    def train(self, **adapter):
        job = self.client.fine_tuning.jobs.create(
            model=MODEL, training_file=self.file.id, seed=3, extra_body={"adapter": {"target_modules": TARGETS} | adapter},
            method={"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 4, "max_steps": 3, "learning_rate": 5e-3}}})
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.3)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        return job

    def adapted(self, job):
        with urllib.request.urlopen(f"{self.url}/v1/fine_tuning/jobs/{job.id}/artifacts/adapter.tar") as answer:
            content = answer.read()
        path = os.path.join(self.folder, job.id)
        with open(path + ".tar", "wb") as file:
            file.write(content)
        with tarfile.open(path + ".tar") as archive:
            archive.extractall(path, filter="data")
        return PeftModel.from_pretrained(self.base(), path).merge_and_unload().eval()  # unmerged HRA takes PEFT minutes a text

    def next_logits(self, model, ids):
        with torch.no_grad():
            return model(torch.tensor([ids])).logits[0, -1]

    def greedy(self, model, ids):
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                                 max_new_tokens=TOKENS, repetition_penalty=1.0, pad_token_id=0)
        return out[0, len(ids):].tolist()

    def compare(self, name, model):
        """All prompts at once, so that they share batches; then Transformers, one by one."""
        stop, same, tokens, near = self.tokenizer.eos_token_id, 0, 0, []
        texts = [self.tokenizer(text).input_ids for text in prompts()]  # Transformers cuts a GGUF's digits otherwise than its model
        answer = self.client.completions.create(model=name, prompt=texts, max_tokens=TOKENS, temperature=0)
        alone = self.client.completions.create(model=name, prompt=texts[0], max_tokens=TOKENS, temperature=0)
        assert alone.choices[0].text == answer.choices[0].text, "batched is not alone"
        for ids, choice in zip(texts, answer.choices):
            want = [token for token in self.greedy(model, ids) if token != stop]
            decoded = self.tokenizer.decode(want, skip_special_tokens=True)
            tokens += len(want)
            if choice.text == decoded:
                same += 1
                continue
            got = self.tokenizer(choice.text, add_special_tokens=False).input_ids
            at = next(i for i in range(len(want) + 1) if got[:i + 1] != want[:i + 1])
            top = self.next_logits(model, ids + want[:at]).topk(2)
            gap = float(top.values[0] - top.values[1])
            near.append(gap)
            assert gap < NEAR, f"{self.tokenizer.decode(ids)!r}: {choice.text!r}, not {decoded!r} (token {at}, the likeliest are {gap:.2e} apart)"
        print(f"# {name}: {same} of {len(texts)} prompts equal, {tokens} tokens; near ties: {['%.1e' % gap for gap in near]}")

    def step_1_the_base_model(self):
        self.compare(MODEL, self.base())

    def step_2_an_adapter_by_hra(self):
        data = "".join(json.dumps(chat) + "\n" for chat in CHATS).encode()
        self.file = self.client.files.create(file=("chats.jsonl", data), purpose="fine-tune")
        job = self.train(peft_type="HRA", r=8)
        self.compare(job.fine_tuned_model, self.adapted(job))

    def step_3_an_adapter_by_lora(self):
        job = self.train(peft_type="LORA", r=8)
        self.compare(job.fine_tuned_model, self.adapted(job))


def main():
    torch.set_num_threads(2)
    daemon = Daemon({MODEL: os.environ["SMOLLM2"]})
    return run_beside(daemon, Generation, "generation")


if __name__ == "__main__":
    sys.exit(main())

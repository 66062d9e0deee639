"""Proves that what a base model and its adapters (HRA, LoRA) are asked is answered, greedily and token by token, as
Transformers and PEFT answer it, and the same alone as beside others. TAP lines. Environment: PROMPTS (6) and TOKENS
(24), how much of it; TEXTS, a file of JSON lines whose first string is a prompt, instead of those below.

Where two tokens are as likely as rounding can tell, either may come: such a place is told, with how far apart their
logits are in Transformers, and the comparison goes on behind Transformers' token."""

import itertools
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

MODEL, TIE = "smollm2.gguf", 1e-4
PROMPTS, TOKENS = int(os.environ.get("PROMPTS", 6)), int(os.environ.get("TOKENS", 24))
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SUBJECTS = ["the sea", "a lamp", "two trains", "my grandmother's garden", "the number seven", "an old map", "rain", "a violin",
            "the moon", "bread"]
BEGINNINGS = ["Here is what I know about {}:", "Once upon a time there was {}.", "Q: What is the use of {}?\nA:",
              "A recipe for {}\n\n1.", "def describe():\n    \"\"\"Says something of {}.\"\"\"\n"]
CHATS = [{"messages": [{"role": "user", "content": f"What is {a} plus {b}?"},
                       {"role": "assistant", "content": f"{a} plus {b} is {a + b}."}]} for a in range(6) for b in range(6)]


def prompts():
    if "TEXTS" in os.environ:
        with open(os.environ["TEXTS"], encoding="utf-8") as lines:
            return [next(iter(json.loads(line).values())) for line in itertools.islice(lines, PROMPTS)]
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

    def greedy(self, model, ids, count):
        """Tokens, the one that ends the text among them, and how far apart the two likeliest were at each."""
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                                 max_new_tokens=count, repetition_penalty=1.0, pad_token_id=0, output_logits=True,
                                 return_dict_in_generate=True)
        top = torch.cat(out.logits).topk(2).values
        return out.sequences[0, len(ids):].tolist(), (top[:, 0] - top[:, 1]).tolist()

    def ask(self, name, prompts, count):
        """The texts of the tokens of each prompt, by our server."""
        answer = self.client.completions.create(model=name, prompt=prompts, max_tokens=count, temperature=0, logprobs=1)
        return [choice.logprobs.tokens for choice in answer.choices]

    def first_difference(self, got, want):
        """The place of the first token that is not the same; None where all are."""
        names = [self.tokenizer.decode([token]) for token in want]
        if got == names:
            return None
        return next(i for i in range(max(len(got), len(names))) if got[i:i + 1] != names[i:i + 1])

    def compare(self, name, model, unlike=None):
        """All prompts at once, so that they share batches, and each alone; then Transformers, one by one. What it answers;
        fails where that is the same as `unlike`."""
        texts = [self.tokenizer(text).input_ids for text in prompts()]  # Transformers cuts a GGUF's digits otherwise than its model
        beside = self.ask(name, texts, TOKENS)
        alone = [self.ask(name, [ids], TOKENS)[0] for ids in texts]
        assert alone == beside, f"{sum(a != b for a, b in zip(alone, beside))} prompts are answered otherwise alone than beside others"
        tokens, ties, close, every = 0, [], 0, []
        for ids, got in zip(texts, beside):
            want, gaps = self.greedy(model, ids, TOKENS)
            every.append(want)
            tokens += len(want)
            close += sum(gap < TIE for gap in gaps)
            behind, at = 0, self.first_difference(got, want)
            while at is not None:
                at += behind
                assert at < len(want) and gaps[at] < TIE, (
                    f"{self.tokenizer.decode(ids)!r}: token {at} is another than in {self.tokenizer.decode(want)!r}, "
                    f"where the likeliest are {gaps[at]:.2e} apart: {got!r}")
                ties.append(gaps[at])
                behind = at + 1
                at = None
                if behind < len(want):
                    got = self.ask(name, [ids + want[:behind]], TOKENS - behind)[0]
                    at = self.first_difference(got, want[behind:])
        changed = sum(a != b for a, b in zip(every, unlike)) if unlike else 0
        assert not unlike or changed, "the adapter changes nothing: its comparison says nothing"
        print(f"# {name}: {len(texts)} prompts, {tokens} tokens, {tokens - len(ties)} equal; {close} places where the likeliest "
              f"are less than {TIE:g} apart, another token at {len(ties)} of them: {['%.1e' % gap for gap in ties]}; "
              f"{len(texts)} answers alone equal to those beside others"
              + (f"; {changed} are not the base model's" if unlike else ""), flush=True)
        return every

    def step_1_the_base_model(self):
        self.of_base = self.compare(MODEL, self.base())

    def step_2_an_adapter_by_hra(self):
        data = "".join(json.dumps(chat) + "\n" for chat in CHATS).encode()
        self.file = self.client.files.create(file=("chats.jsonl", data), purpose="fine-tune")
        job = self.train(peft_type="HRA", r=8)
        self.compare(job.fine_tuned_model, self.adapted(job), self.of_base)

    def step_3_an_adapter_by_lora(self):
        job = self.train(peft_type="LORA", r=8)
        self.compare(job.fine_tuned_model, self.adapted(job), self.of_base)


def main():
    torch.set_num_threads(2)
    daemon = Daemon({MODEL: os.environ["SMOLLM2"]})
    return run_beside(daemon, Generation, "generation")


if __name__ == "__main__":
    sys.exit(main())

"""Proves on small decoders with random weights, as folders of Hugging Face, that Transformers reads the GGUF which the
daemon exports as PEFT's model with the adapter, and its tokenizer as the folder's own. TAP lines."""

import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import time
import urllib.request

import openai
import torch
import transformers as T
from peft import PeftModel

from daemon import Daemon
from steps import run_each

FAMILIES = "tests/worker/text/families"
SHAPE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=16, head_dim=8,
             initializer_range=0.3, max_position_embeddings=128, bos_token_id=None, eos_token_id=None,
             pad_token_id=None)
QWEN = dict(num_key_value_heads=4, **SHAPE)
# A member that is null, and one that is left to the class, where Transformers has 8 heads of keys. Of a GGUF of Qwen's
# it knows the channels of a head by its own rule alone.
KINDS = {
    "llama": ("llama2", lambda n: T.LlamaConfig(vocab_size=n, **SHAPE), {"num_key_value_heads": None}, ()),
    "mistral": ("llama2", lambda n: T.MistralConfig(vocab_size=n, sliding_window=None, **SHAPE), {},
                ("num_key_value_heads",)),
    "qwen2": ("qwen2", lambda n: T.Qwen2Config(vocab_size=n, tie_word_embeddings=True, **QWEN | {"head_dim": 4}), {},
              ()),
    "qwen3": ("qwen2", lambda n: T.Qwen3Config(vocab_size=n, **QWEN | {"head_dim": 128}), {}, ()),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROWS = [{"prompt": f"What is {a} plus {b}?", "completion": f" It is {a + b}."} for a in range(4) for b in range(4)]
TEXTS = ["What is 2 plus 7?", "It's 1234567 o'clock, don't WAIT!", "one  two\n\nthree\tfour", "naïve café «ça va»",
         "東京 2024 🙂", "x[i] += y;"]
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


def make(kind, folder):
    family, config, set_members, absent = KINDS[kind]
    os.makedirs(folder)
    shutil.copy(os.path.join(FAMILIES, family, "tokenizer.json"), folder)
    eos = "</s>" if family == "llama2" else "<|endoftext|>"
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos, "chat_template": TEMPLATE}
                  | ({"bos_token": "<s>"} if family == "llama2" else {}), file)
    torch.manual_seed(1)
    tokenizer = T.PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"))
    T.AutoModelForCausalLM.from_config(config(len(tokenizer))).save_pretrained(folder)
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        members = json.load(file) | set_members
    for name in absent:
        del members[name]
    with open(path, "w") as file:
        json.dump(members, file)


class Folder:
    def __init__(self, daemon, kind, folder):
        self.daemon, self.kind, self.base = daemon, kind, folder
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0)
        self.folder = tempfile.mkdtemp(prefix="reflectd-gguf-")

    def artifact(self, name):
        with urllib.request.urlopen(f"{self.daemon.url}/v1/fine_tuning/jobs/{self.job.id}/artifacts/{name}") as answer:
            return answer.read()

    def logits(self, model):
        with torch.no_grad():
            return model.eval()(torch.arange(3, 35).reshape(2, 16)).logits

    def step_1_train_and_export(self):
        data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
        file = self.client.files.create(file=("sums.jsonl", data), purpose="fine-tune")
        hyperparameters = {"batch_size": 4, "max_steps": 3, "learning_rate": 0.02}
        self.job = self.client.fine_tuning.jobs.create(
            model=self.kind, training_file=file.id, seed=3,
            method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
            extra_body={"adapter": {"peft_type": "HRA", "r": 4, "target_modules": TARGETS}, "exports": ["gguf:f16"]})
        while self.job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            self.job = self.client.fine_tuning.jobs.retrieve(self.job.id)
        assert self.job.status == "succeeded", self.job.error
        with tarfile.open(fileobj=io.BytesIO(self.artifact("adapter.tar"))) as archive:
            archive.extractall(os.path.join(self.folder, "adapter"), filter="data")
        with open(os.path.join(self.folder, "merged-f16.gguf"), "wb") as file:
            file.write(self.artifact("merged-f16.gguf"))

    def step_2_transformers_reads_the_model(self):
        read = lambda: T.AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
        base = self.logits(read())
        want = self.logits(PeftModel.from_pretrained(read(), os.path.join(self.folder, "adapter")))
        got = self.logits(T.AutoModelForCausalLM.from_pretrained(self.folder, gguf_file="merged-f16.gguf",
                                                                 dtype=torch.float32))
        worst, moved = (float((x - want).abs().max() / want.abs().max()) for x in (got, base))
        print(f"# F16 GGUF against HRA in PEFT: {worst:.1e}, {moved:.1e} from the base")
        assert worst < 1e-2 and moved > 5 * worst, (worst, moved)

    def step_3_transformers_reads_the_tokenizer(self):
        got = T.AutoTokenizer.from_pretrained(self.folder, gguf_file="merged-f16.gguf")
        want = T.AutoTokenizer.from_pretrained(self.base)
        assert got.eos_token == want.eos_token and got.chat_template == TEMPLATE, (got.eos_token, got.chat_template)
        for text in TEXTS:
            assert got(text).input_ids == want(text).input_ids, (text, got(text).input_ids, want(text).input_ids)


def main():
    folder = tempfile.mkdtemp(prefix="reflectd-folders-")
    models = {kind: os.path.join(folder, kind) for kind in KINDS}
    for kind, path in models.items():
        make(kind, path)
    daemon = Daemon(models)
    status = run_each(daemon, ((Folder(daemon, kind, path), kind) for kind, path in models.items()))
    shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())

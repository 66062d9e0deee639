"""Proves on a real language model (SmolLM2, a GGUF file) that what the daemon trains and exports is what PEFT,
Transformers and the gguf package understand by it, and that it starts from an adapter which PEFT made. TAP lines."""

import io
import json
import os
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile

import gguf
import numpy
import openai
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load
from transformers import AutoModelForCausalLM

from daemon import Daemon
from steps import refused, run_beside, run_card

MODEL = "smollm2.gguf"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CHATS = [{"messages": [{"role": "user", "content": f"What is {a} plus {b}?"},
                       {"role": "assistant", "content": f"{a} plus {b} is {a + b}."}]} for a in range(6) for b in range(6)]
IDS = torch.tensor([[1, 4093, 198, 1780, 314, 216, 33, 2932, 216, 34, 47, 2, 198, 1, 520, 9531, 198]])


def base():
    folder, name = os.path.split(os.environ["SMOLLM2"])
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


def relative(got, want):
    return float((got - want).abs().max() / want.abs().max())


class Language:
    """Methods named step_* run in order; each is one result."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0)
        self.folder = tempfile.mkdtemp(prefix="reflectd-language-")

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.daemon.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def artifact(self, name):
        return self.request("GET", f"/v1/fine_tuning/jobs/{self.job.id}/artifacts/{name}")

    def unpack(self, name):
        target = os.path.join(self.folder, name.removesuffix(".tar"))
        with tarfile.open(fileobj=io.BytesIO(self.artifact(name))) as archive:
            archive.extractall(target, filter="data")
        return target

    def run_job(self, hyperparameters, **extra):
        job = self.client.fine_tuning.jobs.create(
            model=MODEL, training_file=self.file.id, seed=3,
            method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}, extra_body=extra)
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.3)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        return job

    def step_1_train_on_chats(self):
        data = "".join(json.dumps(chat) + "\n" for chat in CHATS).encode()
        self.file = self.client.files.create(file=("chats.jsonl", data), purpose="fine-tune")
        self.job = self.run_job({"batch_size": 4, "max_steps": 3, "learning_rate": 5e-3},
                                adapter={"peft_type": "HRA", "r": 8, "target_modules": TARGETS}, exports=["lora"])

    def step_2_export_afterwards(self):
        path = f"/v1/fine_tuning/jobs/{self.job.id}/exports"
        self.request("POST", path, {"exports": ["merged:f32", "gguf:f16", "gguf-lora"]})
        states = ["queued"]
        while {"queued", "running"} & set(states):
            time.sleep(0.3)
            states = [item["status"] for item in json.loads(self.request("GET", path))["data"]]
        assert states == ["succeeded"] * 4, states

    def step_3_peft_loads_the_adapter(self):
        self.base = logits(base())
        adapter = self.unpack("adapter.tar")
        models = tempfile.mkdtemp(dir=self.folder)
        os.symlink(os.environ["SMOLLM2"], os.path.join(models, MODEL))
        names, said = run_card(adapter, models, "path/to/the/folder/of/it")
        print(f"# asked as its card says: {said.strip()[:60]!r}")
        assert said.strip()
        self.hra = logits(PeftModel.from_pretrained(base(), adapter).eval())
        worst = relative(logits(names["model"]).float(), self.hra)
        assert worst < 2e-2, worst
        moved = relative(self.hra, self.base)
        assert moved > 1e-2, moved

    def step_4_the_lora_is_the_adapter(self):
        worst = relative(logits(PeftModel.from_pretrained(base(), self.unpack("lora.tar")).eval()), self.hra)
        print(f"# LoRA against HRA in PEFT: {worst:.1e}")
        assert worst < 1e-4, worst

    def step_5_transformers_loads_the_merged_model(self):
        model = AutoModelForCausalLM.from_pretrained(self.unpack("merged-f32.tar"), dtype=torch.float32).eval()
        worst = relative(logits(model), self.hra)
        print(f"# merged F32 against HRA in PEFT: {worst:.1e}")
        assert worst < 1e-4, worst

    def step_6_transformers_loads_the_merged_gguf(self):
        with open(os.path.join(self.folder, "merged-f16.gguf"), "wb") as file:
            file.write(self.artifact("merged-f16.gguf"))
        model = AutoModelForCausalLM.from_pretrained(self.folder, gguf_file="merged-f16.gguf", dtype=torch.float32).eval()
        worst = relative(logits(model), self.hra)
        print(f"# merged F16 GGUF against HRA in PEFT: {worst:.1e}")
        assert worst < 2e-2, worst

    def step_7_the_gguf_lora_is_the_change(self):
        """B A in the file's own row order is what the merged GGUF differs by from the base, up to its F16."""
        path = os.path.join(self.folder, "lora.gguf")
        with open(path, "wb") as file:
            file.write(self.artifact("lora.gguf"))
        read = lambda file: {t.name: t for t in gguf.GGUFReader(file).tensors}
        factors, old, new = read(path), read(os.environ["SMOLLM2"]), read(os.path.join(self.folder, "merged-f16.gguf"))
        number = lambda t: gguf.quants.dequantize(t.data, t.tensor_type)
        assert len(factors) == 2 * 7 * 30, len(factors)
        for name in ("blk.0.attn_q.weight", "blk.29.attn_k.weight", "blk.7.ffn_down.weight"):
            change = factors[name + ".lora_b"].data @ factors[name + ".lora_a"].data
            want = number(new[name])
            worst = numpy.abs(number(old[name]) + change - want).max() / numpy.abs(want).max()
            assert worst < 1e-3, (name, worst)

    def step_8_start_from_an_adapter_of_peft(self):
        torch.manual_seed(5)
        model = get_peft_model(base(), LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM",
                                                  trainable_token_indices={"embed_tokens": [520, 1]}))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name or "trainable_tokens" in name:
                    parameter.normal_(0, 0.02)
        made = os.path.join(self.folder, "made")
        model.save_pretrained(made)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                file.write(os.path.join(made, name), "made/" + name)
        upload = self.client.files.create(file=("made.zip", archive.getvalue()), purpose="fine-tune")
        self.job = self.run_job({"batch_size": 2, "max_steps": 1, "learning_rate": 1e-12}, from_checkpoint=upload.id)
        with open(os.path.join(made, "adapter_model.safetensors"), "rb") as file:
            want = load(file.read())
        got = load(self.artifact("adapter_model.safetensors"))
        assert set(got) == set(want), set(got) ^ set(want)
        worst = max(float(numpy.abs(got[name] - want[name]).max()) for name in want)
        assert worst < 1e-6, worst
        PeftModel.from_pretrained(base(), self.unpack("adapter.tar"))

    def step_9_peft_loads_what_began_as_a_part_of_the_weights(self):
        for init in ("pissa", "olora"):
            adapter = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "use_rslora": True, "init_lora_weights": init, "target_modules": TARGETS}
            self.job = self.run_job({"batch_size": 4, "max_steps": 3, "learning_rate": 1e-3}, adapter=adapter, exports=["merged:f32"])
            model = PeftModel.from_pretrained(base(), self.unpack("adapter.tar")).eval()
            config = model.peft_config["default"]
            assert config.r == 8 and config.init_lora_weights is True, config
            assert abs(config.lora_alpha / 8 ** 0.5 - 6 / 4 ** 0.5) < 1e-12, config
            got = logits(model)
            moved = relative(got, self.base)
            merged = AutoModelForCausalLM.from_pretrained(self.unpack("merged-f32.tar"), dtype=torch.float32).eval()
            worst = relative(got, logits(merged))
            print(f"# {init} in PEFT against the merged model: {worst:.1e}; {moved:.1e} from the base")
            assert worst < 1e-4 and moved > 1e-3, (worst, moved)

    def step_9b_peft_loads_rows_of_the_embedding(self):
        """Tokens of the chats and of IDS; the head is tied, so that their logits move too."""
        adapter = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], "trainable_token_indices": [2, 1780, 1]}
        self.job = self.run_job({"batch_size": 4, "max_steps": 3, "learning_rate": 5e-3}, adapter=adapter,
                                exports=["lora", "merged:f32", "gguf:f16"])
        want = logits(PeftModel.from_pretrained(base(), self.unpack("adapter.tar")).eval())
        moved = (want - self.base).abs().amax((0, 1))
        assert min(moved[[2, 1780, 1]]) > 0.05, moved[[2, 1780, 1]]
        path = os.path.join(self.folder, "merged-f16.gguf")
        with open(path, "wb") as file:
            file.write(self.artifact("merged-f16.gguf"))
        read = lambda folder, **more: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more).eval()
        for name, model, most in (("LoRA", PeftModel.from_pretrained(base(), self.unpack("lora.tar")).eval(), 1e-4),
                                  ("merged F32", read(self.unpack("merged-f32.tar")), 1e-4),
                                  ("merged F16 GGUF", read(self.folder, gguf_file="merged-f16.gguf"), 2e-2)):
            worst = relative(logits(model), want)
            print(f"# {name} against the adapter in PEFT: {worst:.1e}")
            assert worst < most, (name, worst)
        for tokens, says in (([5, 49152], "tokens are 0 to 49151"), ({"lm_head": [5]}, "which is model.embed_tokens")):
            adapter = {"peft_type": "LORA", "trainable_token_indices": tokens}
            error = refused(openai.BadRequestError, lambda: self.run_job({"max_steps": 1}, adapter=adapter))
            assert says in error.message and error.param == "adapter.trainable_token_indices", error


def main():
    daemon = Daemon({MODEL: os.environ["SMOLLM2"]})
    return run_beside(daemon, Language, "language model")


if __name__ == "__main__":
    sys.exit(main())

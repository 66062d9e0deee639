"""Proves on small mixtures of experts with random weights (Mixtral, Qwen3 MoE) that what the daemon trains is what PEFT and
Transformers make of its adapter and of its merged model, and that they answer greedily as Transformers does. TAP lines."""

import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import time
import urllib.request

import gguf
import numpy
import openai
import torch
import transformers as T
from peft import PeftModel

from daemon import Daemon
from steps import refused, run_each

TOKENIZER = "tests/worker/text/families/qwen2/tokenizer.json"
SHAPE = dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
             initializer_range=0.3, bos_token_id=None, eos_token_id=0, pad_token_id=0)
KINDS = {
    "mixtral": (T.MixtralForCausalLM, lambda n: T.MixtralConfig(vocab_size=n, intermediate_size=96, num_local_experts=5, **SHAPE),
                {"peft_type": "HRA", "r": 4}, "w1"),
    "qwen3_moe": (T.Qwen3MoeForCausalLM, lambda n: T.Qwen3MoeConfig(
        vocab_size=n, intermediate_size=96, moe_intermediate_size=32, num_experts=16, num_experts_per_tok=4, norm_topk_prob=True,
        head_dim=16, **SHAPE), {"peft_type": "LORA", "r": 4}, "gate_proj"),
}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ROWS = [{"prompt": f"What is {a} plus {b}?", "completion": f" It is {a + b}."} for a in range(6) for b in range(6)]
PROMPTS = ["What is 2 plus 7?", "experts", "Once upon a time there was a router that chose two of", "a"]
TOKENS, TIE = 16, 1e-4
NUL = "\u0100"  # a byte 0, by its name among tokens of bytes


def make(kind, folder):
    """A base whose experts are BF16, as published ones are."""
    os.makedirs(folder)
    shutil.copy(TOKENIZER, folder)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}, file)
    torch.manual_seed(1)
    made, config, _, _ = KINDS[kind]
    tokenizer = T.PreTrainedTokenizerFast(tokenizer_file=TOKENIZER)
    model = made(config(len(tokenizer))).to(torch.bfloat16)
    model.lm_head.weight.data[tokenizer.convert_tokens_to_ids(NUL)] = 0  # never the likeliest
    model.save_pretrained(folder)


# GGUF's names, and Mixtral's rows of q and k in llama.cpp's order.
GGUF = {"mixtral.gguf": "llama", "qwen3_moe.gguf": "qwen3moe"}
STEMS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
         "mlp.gate": "ffn_gate_inp"}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
Q8, F32 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F32


def rounded(numbers, kind):
    return gguf.quants.dequantize(gguf.quants.quantize(numbers, kind), kind)


def tensors_of(model, arch):
    """Names in GGUF, numbers in its order of rows."""
    for name, numbers in model.state_dict().items():
        numbers = numbers.float().numpy()
        if name in OUTER:
            yield OUTER[name], numbers
            continue
        _, _, layer, stem = name.split(".", 3)
        stem = stem.removesuffix(".weight")
        if stem == "mlp.experts.gate_up_proj":
            gate, up = numpy.split(numbers, 2, axis=1)
            yield f"blk.{layer}.ffn_gate_exps.weight", gate.copy()
            yield f"blk.{layer}.ffn_up_exps.weight", up.copy()
            continue
        if stem == "mlp.experts.down_proj":
            yield f"blk.{layer}.ffn_down_exps.weight", numbers
            continue
        heads = {"self_attn.q_proj": 4, "self_attn.k_proj": 2}.get(stem) if arch == "llama" else None
        if heads:
            rows, cols = numbers.shape
            numbers = numbers.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols).copy()
        yield f"blk.{layer}.{STEMS[stem]}.weight", numbers


def make_gguf(kind, folder, source):
    """The model in `source` with all its matrices but the routers in Q8_0, and in `folder` the same numbers for Transformers."""
    model, arch = T.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32), GGUF[kind]
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not name.endswith("mlp.gate.weight"):
            parameter.data = torch.from_numpy(rounded(parameter.detach().numpy(), Q8))
    model.save_pretrained(folder)
    c = model.config
    w = gguf.GGUFWriter(os.path.join(folder, kind), arch)
    w.add_block_count(c.num_hidden_layers); w.add_context_length(c.max_position_embeddings); w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size); w.add_head_count(c.num_attention_heads); w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps); w.add_rope_freq_base(c.rope_parameters["rope_theta"]); w.add_vocab_size(c.vocab_size)
    w.add_key_length(16); w.add_value_length(16); w.add_expert_count(c.num_local_experts); w.add_expert_used_count(c.num_experts_per_tok)
    if arch == "qwen3moe":
        w.add_expert_feed_forward_length(c.moe_intermediate_size)
    with open(TOKENIZER, encoding="utf-8") as file:
        words = json.load(file)
    ids = {text: i for text, i in words["model"]["vocab"].items()} | {added["content"]: added["id"] for added in words["added_tokens"]}
    names = {i: text for text, i in ids.items()}
    special = {added["id"] for added in words["added_tokens"]}
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("qwen2")
    w.add_token_list([names[i] for i in range(c.vocab_size)])
    w.add_token_types([3 if i in special else 1 for i in range(c.vocab_size)])
    w.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in words["model"]["merges"]])
    w.add_eos_token_id(0)
    for name, numbers in tensors_of(model, arch):
        kept = numbers.ndim == 1 or "ffn_gate_inp" in name
        w.add_tensor(name, numbers if kept else gguf.quants.quantize(numbers, Q8), raw_dtype=F32 if kept else Q8)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def relative(got, want):
    return float((got - want).abs().max() / want.abs().max())


class Experts:
    """Methods named step_* run in order; each is one result."""

    def __init__(self, kind, daemon, folder):
        self.kind, self.url, self.folder = kind, daemon.url, os.path.join(folder, kind)
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0, timeout=600)
        self.tokenizer = T.PreTrainedTokenizerFast(tokenizer_file=TOKENIZER)
        self.ids = [self.tokenizer(text).input_ids for text in PROMPTS]
        self.adapter, self.expert = KINDS[kind.removesuffix(".gguf")][2:]
        self.expert = "gate_proj" if kind in GGUF else self.expert
        self.base = lambda: T.AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()

    def logits(self, model):
        with torch.no_grad():
            return model(torch.tensor([self.ids[2]])).logits

    def run_job(self, targets, **extra):
        job = self.client.fine_tuning.jobs.create(
            model=self.kind, training_file=self.file.id, seed=3, extra_body={"adapter": self.adapter | {"target_modules": targets}} | extra,
            method={"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 4, "max_steps": 4, "learning_rate": 2e-2}}})
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        return job

    def artifact(self, name):
        with urllib.request.urlopen(f"{self.url}/v1/fine_tuning/jobs/{self.job.id}/artifacts/{name}") as answer:
            return answer.read()

    def unpack(self, name):
        folder = os.path.join(self.folder, "..", f"{self.kind}-{name.removesuffix('.tar')}")
        with tarfile.open(fileobj=io.BytesIO(self.artifact(name))) as archive:
            archive.extractall(folder, filter="data")
        return folder

    def tensors(self, name):
        """Of a GGUF file that was exported, or of the base (None)."""
        path = os.path.join(self.folder, self.kind if name is None else name)
        if name:
            with open(path, "wb") as file:
                file.write(self.artifact(name))
        return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}

    def greedy(self, name, model):
        """Our tokens and their log-probabilities are Transformers', up to where two tokens are as likely. Quantised weights
        meet activations of 16 bits in ours."""
        texts = self.client.completions.create(model=name, prompt=self.ids, max_tokens=TOKENS, temperature=0, logprobs=1).choices
        compared, worst = 0, 0
        for ids, text in zip(self.ids, texts):
            with torch.no_grad():
                out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                                     max_new_tokens=TOKENS, output_logits=True, return_dict_in_generate=True)
            chances = torch.cat(out.logits).log_softmax(1)
            top = chances.topk(2).values
            want = out.sequences[0, len(ids):].tolist()
            got = list(zip(text.logprobs.tokens, text.logprobs.token_logprobs, strict=True))
            for i, (token, chance) in enumerate(got):
                if top[i, 0] - top[i, 1] < TIE:
                    break
                assert token == self.tokenizer.decode([want[i]]), (i, token, self.tokenizer.decode(want))
                worst = max(worst, abs(chance - float(chances[i, want[i]])))
                compared += 1
        print(f"# {name}: {compared} tokens as Transformers has them, log-probabilities {worst:.1e} apart at most")
        assert compared >= 3 * TOKENS and worst < (5e-3 if self.kind in GGUF else 1e-3), (compared, worst)

    def step_1_the_base_answers_as_transformers_does(self):
        model = self.base()
        self.greedy(self.kind, model)
        self.of_base = self.logits(model)

    def step_2_peft_loads_what_was_trained(self):
        data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
        self.file = self.client.files.create(file=("rows.jsonl", data), purpose="fine-tune")
        self.job = self.run_job(ATTENTION, exports=["gguf:f16", "gguf-lora"] if self.kind in GGUF else ["merged:f32"])
        assert self.job.status == "succeeded", self.job.error
        self.model = PeftModel.from_pretrained(self.base(), self.unpack("adapter.tar")).eval()
        self.adapted = self.logits(self.model)
        moved = relative(self.adapted, self.of_base)
        assert moved > 1e-2, moved

    def step_3_the_adapter_answers_as_in_peft(self):
        self.greedy(self.job.fine_tuned_model, self.model)

    def step_4_the_merged_model_is_the_adapter(self):
        if self.kind in GGUF:
            self.look_at_gguf()
            return
        merged = T.AutoModelForCausalLM.from_pretrained(self.unpack("merged-f32.tar"), dtype=torch.float32).eval()
        worst = relative(self.logits(merged), self.adapted)
        print(f"# merged F32 against the adapter in PEFT: {worst:.1e}")
        assert worst < 1e-4, worst

    def look_at_gguf(self):
        """The change of each matrix of attention is the LoRA's, and all else is as it was, up to F16."""
        old, new, lora = self.tensors(None), self.tensors("merged-f16.gguf"), self.tensors("lora.gguf")
        assert set(new) == set(old) and len(lora) == 2 * 4 * 3, sorted(lora)
        for name, numbers in old.items():
            change = lora[name + ".lora_b"] @ lora[name + ".lora_a"] if name + ".lora_b" in lora else 0
            assert "attn_" not in name or "norm" in name or numpy.abs(change).max() > 1e-3, name
            worst = numpy.abs(new[name] - numbers - change).max() / numpy.abs(numbers).max()
            assert worst < 1e-3, (name, worst)

    def step_5_experts_are_refused_by_name(self):
        error = refused(openai.BadRequestError, lambda: self.run_job(["q_proj", self.expert]))
        assert f'"{self.expert}"' in error.message and error.param == "adapter.target_modules", error
        assert "experts and routers as parameters" in error.message, error
        error = refused(openai.BadRequestError, lambda: self.run_job(rf".*\.(q_proj|{self.expert})"))
        assert f".{self.expert} too" in error.message and error.param == "adapter.target_modules", error
        assert "experts and routers as parameters" in error.message, error


def main():
    folder = tempfile.mkdtemp(prefix="reflectd-experts-")
    torch.set_num_threads(1)
    models = {kind: os.path.join(folder, kind) for kind in KINDS}
    for kind, path in models.items():
        make(kind, path)
    for kind in GGUF:
        make_gguf(kind, os.path.join(folder, kind), models[kind.removesuffix(".gguf")])
        models[kind] = os.path.join(folder, kind, kind)
    daemon = Daemon(models)
    status = run_each(daemon, ((Experts(kind, daemon, folder), kind) for kind in models))
    shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())

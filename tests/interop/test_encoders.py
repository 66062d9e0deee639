"""Proves for each kind of encoder that a job on it ends with an adapter which PEFT loads to the logits that the daemon
reported, and with a merged model which Transformers loads to them too. The models are small ones with random weights,
their tokenizers trained here. TAP lines."""

import collections
import csv
import io
import json
import os
import sys
import tarfile
import tempfile
import time
import urllib.request

import openai
import tokenizers
import torch
import transformers
from peft import PeftModel
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from daemon import Daemon
from steps import run_card, run_steps

WORDS = {"good": "fine lovely bright kind calm", "bad": "awful dull cruel loud grim", "odd": "blue wooden seventh oblique"}
ROWS = [{"text": f"The {a} day was {b}, {'very' if i % 2 else 'not so'} {a} \u2014 caf\u00e9 {i}!", "label": label}
        for label, words in WORDS.items() for i, (a, b) in enumerate((a, b) for a in words.split() for b in words.split())]
SHAPE = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=80, initializer_range=0.2)


def word_piece():
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator((r["text"] for r in ROWS), trainers.WordPieceTrainer(vocab_size=300, special_tokens=names))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((r["text"] for r in ROWS), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def unigram():
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], unk_token="<unk>")
    tokenizer.train_from_iterator((r["text"] for r in ROWS), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


MODERNBERT = SHAPE | dict(num_hidden_layers=4, local_attention=8, pad_token_id=1, bos_token_id=0, cls_token_id=0, eos_token_id=2, sep_token_id=2)
FAIRSEQ = dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
               mask_token="<mask>")
BERT = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
T = transformers
KINDS = {  # a base with a head for language modelling, as published ones have it, or none
    "roberta": (byte_level, FAIRSEQ, T.RobertaForMaskedLM, lambda n: T.RobertaConfig(vocab_size=n, max_position_embeddings=66, type_vocab_size=1, **SHAPE)),
    "xlm-roberta": (unigram, FAIRSEQ, T.XLMRobertaForMaskedLM, lambda n: T.XLMRobertaConfig(vocab_size=n, max_position_embeddings=66, type_vocab_size=1, **SHAPE)),
    "camembert": (unigram, FAIRSEQ, T.CamembertModel, lambda n: T.CamembertConfig(vocab_size=n, max_position_embeddings=66, type_vocab_size=1, **SHAPE)),
    "electra": (word_piece, BERT, T.ElectraForPreTraining, lambda n: T.ElectraConfig(vocab_size=n, embedding_size=24, **SHAPE)),
    "albert": (unigram, FAIRSEQ, T.AlbertForMaskedLM, lambda n: T.AlbertConfig(vocab_size=n, embedding_size=24, **SHAPE)),
    "distilbert": (word_piece, BERT, T.DistilBertForMaskedLM, lambda n: T.DistilBertConfig(
        vocab_size=n, dim=48, n_heads=3, n_layers=2, hidden_dim=80, initializer_range=0.2)),
    "deberta-v2": (word_piece, BERT, T.DebertaV2ForMaskedLM, lambda n: T.DebertaV2Config(  # as v3
        vocab_size=n, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
        position_biased_input=False, **SHAPE)),
    "deberta-apart": (word_piece, BERT, T.DebertaV2Model, lambda n: T.DebertaV2Config(
        vocab_size=n, relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=12, type_vocab_size=2, embedding_size=24, **SHAPE)),
    "deberta-conv": (word_piece, BERT, T.DebertaV2ForMaskedLM, lambda n: T.DebertaV2Config(  # as xlarge and xxlarge
        vocab_size=n, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
        position_biased_input=False, conv_kernel_size=3, conv_act="gelu", **SHAPE)),
    "mpnet": (unigram, FAIRSEQ, T.MPNetForMaskedLM, lambda n: T.MPNetConfig(vocab_size=n, **SHAPE)),
    "modernbert": (byte_level, FAIRSEQ, T.ModernBertForMaskedLM, lambda n: T.ModernBertConfig(vocab_size=n, **MODERNBERT)),
    "modernbert-bare": (word_piece, BERT, T.ModernBertModel, lambda n: T.ModernBertConfig(  # no head in the file
        vocab_size=n, classifier_pooling="mean", norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, **MODERNBERT)),
}


def make_base(kind, folder):
    torch.manual_seed(len(kind))
    make_tokenizer, special, model_class, config = KINDS[kind]
    tokenizer = make_tokenizer()
    T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    model = model_class(config(tokenizer.get_vocab_size()))
    model.save_pretrained(folder)
    if kind in AS_TORCH_SAVE:
        write_torch(model, folder, AS_TORCH_SAVE[kind])


AS_TORCH_SAVE = {"roberta": 1, "electra": 2, "camembert": 1}  # how many files


def write_torch(model, folder, shards):
    """The weights as older checkpoints have them: pytorch_model.bin, whole or in shards, instead of safetensors."""
    os.unlink(os.path.join(folder, "model.safetensors"))
    tensors = list(model.half().state_dict().items() if shards > 1 else model.state_dict().items())
    if shards == 1:
        torch.save(dict(tensors), os.path.join(folder, "pytorch_model.bin"))
        return
    names = [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)]
    for i, name in enumerate(names):
        torch.save(collections.OrderedDict(tensors[i::shards]), os.path.join(folder, name))
    index = {"metadata": {}, "weight_map": {key: names[i % shards] for i, (key, _) in enumerate(tensors)}}
    with open(os.path.join(folder, "pytorch_model.bin.index.json"), "w", encoding="utf-8") as file:
        json.dump(index, file)


class Encoder:
    rows, labels = ROWS, sorted(WORDS)

    def __init__(self, kind, daemon, base):
        self.kind, self.daemon, self.base = kind, daemon, base
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0)

    def artifact(self, name):
        with urllib.request.urlopen(f"{self.daemon.url}/v1/fine_tuning/jobs/{self.job.id}/artifacts/{name}") as reply:
            return reply.read()

    def unpack(self, name, folder):
        with tarfile.open(fileobj=io.BytesIO(self.artifact(name))) as tar:
            tar.extractall(folder, filter="data")
        (found,) = [path for path, _, names in os.walk(folder) if "config.json" in names or "adapter_config.json" in names]
        return found

    def close(self, model):
        tokenizer = AutoTokenizer.from_pretrained(self.base)
        batch = tokenizer([row["text"] for row in self.rows], padding=True, return_tensors="pt")
        predictions = [json.loads(line) for line in self.artifact("predictions.jsonl").splitlines()]
        ours = torch.tensor([p["logits"] for p in predictions])
        with torch.no_grad():
            theirs = model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        worst = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        print(f"# {len(predictions)} texts, worst relative difference {worst:.2e}")
        assert ours.shape == theirs.shape and worst <= 1e-4, worst

    def create(self, **more):
        rows = "".join(json.dumps(row) + "\n" for row in self.rows).encode()
        data = self.client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
        job = self.client.fine_tuning.jobs.create(
            model=self.kind, training_file=data.id, validation_file=data.id, seed=3,
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 16, "learning_rate": 1e-2}}},
            extra_body={"adapter": {"peft_type": "HRA", "r": 4, "target_modules": "all-linear"}, "exports": ["merged:f32"]} | more)
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        self.job = job

    def step_1_train(self):
        self.create()

    def step_2_peft_loads_the_adapter(self):
        with tempfile.TemporaryDirectory() as folder:
            adapter = self.unpack("adapter.tar", folder)
            names, said = run_card(adapter, self.base, self.kind)
            assert isinstance(names["model"], PeftModel) and said.strip(), said
            self.close(names["model"])

    def step_3_transformers_loads_the_merged_model(self):
        with tempfile.TemporaryDirectory() as folder:
            merged = self.unpack("merged-f32.tar", folder)
            model, how = AutoModelForSequenceClassification.from_pretrained(merged, output_loading_info=True)
            assert not how["missing_keys"] and not how["mismatched_keys"], how
            assert model.config.label2id == {name: i for i, name in enumerate(self.labels)}, model.config.label2id
            self.close(model)
            return model.config

    def run(self, number):
        return run_steps(self, self.kind, number, " (several labels)" * (len(self.labels) > len(WORDS)))


class SeveralLabels(Encoder):
    """Some texts have none of the labels, some have two."""

    rows = [{"text": row["text"], "labels": [row["label"]] * (i % 5 > 0) + ["even"] * (i % 2)} for i, row in enumerate(ROWS)]
    labels = sorted([*WORDS, "even"])

    def step_3_transformers_loads_the_merged_model(self):
        config = super().step_3_transformers_loads_the_merged_model()
        assert config.problem_type == "multi_label_classification", config

    def step_4_go_on_from_it(self):
        before = json.loads(self.artifact("training_manifest.json"))
        self.create(from_checkpoint=self.job.id, task="multi_label")
        self.step_2_peft_loads_the_adapter()
        first = next(csv.DictReader(io.StringIO(self.artifact("step_metrics.csv").decode())))  # before a step
        print(f"# it ended at a loss of {before['valid_loss']:.6f} and went on at {first['valid_loss']}")
        assert first["step"] == "0" and abs(float(first["valid_loss"]) - before["valid_loss"]) < 1e-5


def run_all(bases, tests):
    """Each test, made of the daemon, against one daemon with these bases; the exit status."""
    daemon = Daemon(bases)
    number = failures = 0
    try:
        for test in tests:
            number, failed = test(daemon).run(number)
            failures += failed
        if failures:
            print("".join("# " + line + "\n" for line in daemon.log().splitlines()[-40:]), end="")
    finally:
        daemon.stop()
    print(f"1..{number}")
    return 1 if failures else 0


def main():
    with tempfile.TemporaryDirectory(prefix="reflectd-encoders-") as folder:
        bases = {kind: os.path.join(folder, kind) for kind in KINDS}
        for kind, base in bases.items():
            make_base(kind, base)
        tests = [(Encoder, kind) for kind in bases] + [(SeveralLabels, kind) for kind in ("roberta", "electra")]
        return run_all(bases, [lambda daemon, test=test, kind=kind: test(kind, daemon, bases[kind]) for test, kind in tests])


if __name__ == "__main__":
    sys.exit(main())

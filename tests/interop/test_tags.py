"""Proves that token classifiers trained by the daemon are what PEFT and Transformers make of their adapters and of their
merged models: logits, word by word, are those that the daemon reported. Small models with random weights. TAP lines."""

import csv
import io
import json
import os
import sys
import tempfile
import time

import torch
import transformers as T
from tokenizers import pre_tokenizers
from transformers import AutoModelForTokenClassification, AutoTokenizer

import test_encoders
from test_encoders import ROWS, SHAPE, WORDS, Encoder

MAX = 24  # tokens: some words are cut off
TAG = {word: name for name, words in WORDS.items() for word in words.split()}
# Words of several tokens, of none (a control character, which BERT drops), with spaces in them, and special tokens' names.
ODD = ["\u200b", "caf\u00e9\u2014caf\u00e9", " two words", "<mask>", "[SEP]", "unaffordable"]


def tagged(i, text):
    tokens = text.split()
    tokens.insert(i % len(tokens), ODD[i % len(ODD)])
    tags, before = [], None
    for token in tokens:
        name = TAG.get(token)
        tags.append("O" if name is None else ("I-" if name == before else "B-") + name.upper())
        before = name
    return {"tokens": tokens * (1 + i % 3 // 2 * 3), "ner_tags": tags * (1 + i % 3 // 2 * 3)}


TAGGED = [tagged(i, row["text"]) for i, row in enumerate(ROWS)]

test_encoders.KINDS |= {
    "bert": (test_encoders.word_piece, test_encoders.BERT, T.BertForMaskedLM, lambda n: T.BertConfig(vocab_size=n, **SHAPE)),
}
JOBS = ("bert", "roberta", "xlm-roberta", "electra", "albert", "distilbert", "deberta-v2", "mpnet", "modernbert", "modernbert-bare")


class Tags(Encoder):
    rows = TAGGED
    tags = sorted({tag for row in TAGGED for tag in row["ner_tags"]})

    def expect(self, model):
        """Logits of each example's words that have a token."""
        tokenizer = AutoTokenizer.from_pretrained(self.base)
        backend = tokenizer.backend_tokenizer
        if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):  # what add_prefix_space=True asks for
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        out = []
        for row in self.rows:
            batch = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=MAX, return_tensors="pt")
            with torch.no_grad():
                logits = model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0]
            words = batch.word_ids(0)
            out.append({w: logits[words.index(w)] for w in set(words) - {None}})
        return out

    def close(self, model):
        predictions = [json.loads(line) for line in self.artifact("predictions.jsonl").splitlines()]
        names, worst, cut = model.config.id2label, 0.0, 0
        for row, said, theirs in zip(self.rows, predictions, self.expect(model), strict=True):
            assert said["labels"] == row["ner_tags"] and len(said["logits"]) == len(row["tokens"])
            for word, (tag, logits) in enumerate(zip(said["predictions"], said["logits"], strict=True)):
                assert (logits is None) == (tag is None) == (word not in theirs), (row, said)
                if logits is None:
                    cut += 1
                    continue
                assert tag == names[max(range(len(logits)), key=logits.__getitem__)]
                worst = max(worst, (torch.tensor(logits) - theirs[word]).abs().max().item())
        print(f"# {len(predictions)} texts, {cut} words without a token, worst difference {worst:.2e}")
        assert worst <= 1e-4 and cut > 0, (worst, cut)

    def create(self, **more):
        rows = "".join(json.dumps(row) + "\n" for row in self.rows).encode()
        data = self.client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
        job = self.client.fine_tuning.jobs.create(
            model=self.kind, training_file=data.id, validation_file=data.id, seed=3,
            method={"type": "supervised", "supervised": {"hyperparameters": {
                "n_epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "max_seq_length": MAX}}},
            extra_body={"adapter": {"peft_type": "HRA", "r": 4, "target_modules": "all-linear"}} | more)
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        self.job = job

    def step_1_train(self):
        self.create(exports=["merged:f32"])

    def step_2_peft_loads_the_adapter(self):
        super().step_2_peft_loads_the_adapter()
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(self.unpack("adapter.tar", folder), "adapter_config.json"), encoding="utf-8") as config:
                config = json.load(config)
            assert config["task_type"] == "TOKEN_CLS" and "classifier" in config["modules_to_save"]

    def step_3_transformers_loads_the_merged_model(self):
        with tempfile.TemporaryDirectory() as folder:
            merged = self.unpack("merged-f32.tar", folder)
            model, how = AutoModelForTokenClassification.from_pretrained(merged, output_loading_info=True)
            assert not how["missing_keys"] and not how["mismatched_keys"], how
            assert model.config.label2id == {name: i for i, name in enumerate(self.tags)}, model.config.label2id
            self.close(model)

    def step_4_go_on_from_it(self):
        before = json.loads(self.artifact("training_manifest.json"))
        self.create(from_checkpoint=self.job.id)
        first = next(csv.DictReader(io.StringIO(self.artifact("step_metrics.csv").decode())))  # before a step
        print(f"# it ended at a loss of {before['valid_loss']:.6f} and went on at {first['valid_loss']}")
        assert first["step"] == "0" and abs(float(first["valid_loss"]) - before["valid_loss"]) < 1e-5


def main():
    with tempfile.TemporaryDirectory(prefix="reflectd-tags-") as folder:
        bases = {kind: os.path.join(folder, kind) for kind in JOBS}
        for kind, base in bases.items():
            test_encoders.make_base(kind, base)
        return test_encoders.run_all(bases, [lambda daemon, kind=kind: Tags(kind, daemon, bases[kind]) for kind in bases])


if __name__ == "__main__":
    sys.exit(main())

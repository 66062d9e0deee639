"""Proves that embeddings and rerankers trained by the daemon are what PEFT and Transformers make of their adapters and of
their merged models: cosines and logits are those that the daemon reported. Small models with random weights. TAP lines."""

import csv
import io
import json
import os
import sys
import tarfile
import tempfile
import time

import torch
import transformers as T
from peft import PeftModel
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import test_encoders
from test_encoders import ROWS, SHAPE, Encoder

TEXTS = [row["text"] for row in ROWS]
TRIPLETS = [{"anchor": a, "positive": p, "negative": n} for a, p, n in zip(TEXTS, TEXTS[1:], TEXTS[25:])]
SCORED = [{"sentence1": a, "sentence2": b, "score": (i % 5) / 4 - 0.25} for i, (a, b) in enumerate(zip(TEXTS, TEXTS[7:]))]
RANKED = [{"query": TEXTS[i % 9], "passage": p, "label": int(i % 3 == 0)} for i, p in enumerate(TEXTS)]
POOLED = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MODULES = [{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + name}
           for i, (path, name) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling")))]


def bert(n):
    return T.BertConfig(vocab_size=n, **SHAPE)


# Files with the model's prefix and heads beside it, and without; a folder of sentence-transformers that pools by CLS.
test_encoders.KINDS |= {
    "bert": (test_encoders.word_piece, test_encoders.BERT, T.BertForMaskedLM, bert),
    "sentence-bert": (test_encoders.word_piece, test_encoders.BERT, T.BertModel, bert),
}
JOBS = {"bert": TRIPLETS, "sentence-bert": SCORED, "distilbert": TRIPLETS, "albert": TRIPLETS, "mpnet": TRIPLETS, "modernbert": TRIPLETS, "deberta-v2": TRIPLETS}


class Pairs(Encoder):
    def __init__(self, kind, daemon, base, rows):
        super().__init__(kind, daemon, base)
        self.rows, self.ranks = rows, "query" in rows[0]
        self.cls = kind.startswith("sentence")

    def unpack(self, name, folder):
        with tarfile.open(fileobj=io.BytesIO(self.artifact(name))) as tar:
            tar.extractall(folder, filter="data")
        (found,) = [path for path, _, names in os.walk(folder) if any(n.endswith(".safetensors") for n in names)]
        return found

    def tokens(self, *texts):
        return AutoTokenizer.from_pretrained(self.base)(*texts, padding=True, return_tensors="pt")

    def embed(self, model, texts):
        batch = self.tokens(texts)
        mask = batch["attention_mask"][:, :, None]
        with torch.no_grad():
            rows = model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        return torch.nn.functional.normalize(rows[:, 0] if self.cls else (rows * mask).sum(1) / mask.sum(1))

    def expect(self, model):
        """Names of predictions, and what they must be."""
        if self.ranks:
            batch = self.tokens([r["query"] for r in self.rows], [r["passage"] for r in self.rows])
            if self.kind != "mpnet":  # which has no types
                batch["token_type_ids"] = torch.tensor([[s or 0 for s in batch.sequence_ids(i)] for i in range(len(self.rows))])
                last = batch["attention_mask"].sum(1) - 1  # the second text's [SEP]
                batch["token_type_ids"][torch.arange(len(last)), last] = 1
            with torch.no_grad():
                logits = model.eval()(**batch).logits[:, 0]
            return {"prediction": logits.sigmoid()}
        names = list(self.rows[0])
        first = self.embed(model, [r[names[0]] for r in self.rows])
        cosines = {"prediction": (first * self.embed(model, [r[names[1]] for r in self.rows])).sum(1)}
        if "negative" in names:
            cosines["negative"] = (first * self.embed(model, [r["negative"] for r in self.rows])).sum(1)
        return cosines

    def close(self, model):
        predictions = [json.loads(line) for line in self.artifact("predictions.jsonl").splitlines()]
        for name, theirs in self.expect(model).items():
            worst = (torch.tensor([p[name] for p in predictions]) - theirs).abs().max().item()
            print(f"# {name} of {len(predictions)} pairs, worst difference {worst:.2e}")
            assert worst <= 2e-5, worst

    def create(self, **more):
        rows = "".join(json.dumps(row) + "\n" for row in self.rows).encode()
        data = self.client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
        job = self.client.fine_tuning.jobs.create(
            model=self.kind, training_file=data.id, validation_file=data.id, seed=3,
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 8, "learning_rate": 1e-2}}},
            extra_body={"adapter": {"peft_type": "HRA", "r": 4, "target_modules": "all-linear"}} | more)
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        self.job = job

    def step_1_train(self):
        self.create(exports=["merged:f32"])

    def step_2_peft_loads_the_adapter(self):
        with tempfile.TemporaryDirectory() as folder:
            adapter = self.unpack("adapter.tar", folder)
            with open(os.path.join(adapter, "adapter_config.json"), encoding="utf-8") as config:
                assert json.load(config)["task_type"] == ("SEQ_CLS" if self.ranks else "FEATURE_EXTRACTION")
            base = AutoModelForSequenceClassification.from_pretrained(self.base, num_labels=1) if self.ranks else AutoModel.from_pretrained(self.base)
            self.close(PeftModel.from_pretrained(base, adapter))

    def step_3_transformers_loads_the_merged_model(self):
        with tempfile.TemporaryDirectory() as folder:
            merged = self.unpack("merged-f32.tar", folder)
            if not self.ranks:
                with open(os.path.join(merged, "1_Pooling", "config.json"), encoding="utf-8") as config:
                    assert json.load(config)["pooling_mode_cls_token"] == self.cls
                with open(os.path.join(merged, "modules.json"), encoding="utf-8") as modules:
                    assert len(json.load(modules)) == (2 if self.cls else 3)
            model, how = (AutoModelForSequenceClassification if self.ranks else AutoModel).from_pretrained(merged, output_loading_info=True)
            missing = [key for key in how["missing_keys"] if not key.startswith("pooler.")]  # which no embedding reads
            assert not missing and not how["mismatched_keys"], how
            self.close(model)

    def step_4_go_on_from_it(self):
        before = json.loads(self.artifact("training_manifest.json"))
        self.create(from_checkpoint=self.job.id)
        with tempfile.TemporaryDirectory() as folder:
            adapter = self.unpack("adapter.tar", folder)
            base = AutoModelForSequenceClassification.from_pretrained(self.base, num_labels=1) if self.ranks else AutoModel.from_pretrained(self.base)
            self.close(PeftModel.from_pretrained(base, adapter))
        first = next(csv.DictReader(io.StringIO(self.artifact("step_metrics.csv").decode())))  # before a step
        print(f"# it ended at a loss of {before['valid_loss']:.6f} and went on at {first['valid_loss']}")
        assert first["step"] == "0" and abs(float(first["valid_loss"]) - before["valid_loss"]) < 1e-5


def main():
    with tempfile.TemporaryDirectory(prefix="reflectd-pairs-") as folder:
        bases = {kind: os.path.join(folder, kind) for kind in JOBS}
        for kind, base in bases.items():
            test_encoders.make_base(kind, base)
        os.mkdir(os.path.join(bases["sentence-bert"], "1_Pooling"))
        for name, value in (("modules.json", MODULES), ("1_Pooling/config.json", POOLED)):
            with open(os.path.join(bases["sentence-bert"], name), "w", encoding="utf-8") as file:
                json.dump(value, file)
        jobs = list(JOBS.items()) + [("bert", RANKED), ("mpnet", RANKED)]
        return test_encoders.run_all(bases, [lambda daemon, kind=kind, rows=rows: Pairs(kind, daemon, bases[kind], rows) for kind, rows in jobs])


if __name__ == "__main__":
    sys.exit(main())

"""Proves that the unmodified openai client drives the daemon from upload to adapter, in its normal and in its
strict mode, and that PEFT loads the adapter and computes the logits that the daemon reported. Says TAP lines."""

import csv
import hashlib
import io
import json
import os
import struct
import sys
import tarfile
import tempfile
import time
import urllib.request

import openai
import torch
from peft import PeftModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoTokenizer, pipeline

from daemon import Daemon
from steps import refused, run_card, run_steps

MODEL = "all-MiniLM-L6-v2"
EVENTS = "events.out.tfevents.0.reflectd"
LINEARS = (r".*encoder\.layer\.\d+\.(attention\.self\.(query|key|value)|attention\.output\.dense"
           r"|intermediate\.dense|output\.dense)")
INTENTS, TRAIN_EACH, VALID_EACH = 8, 20, 8
ADAPTER = {"peft_type": "HRA", "r": 8, "target_modules": LINEARS}
COLUMNS = {"text": "text", "label": "category"}
HYPERPARAMETERS = {"n_epochs": 2, "batch_size": 16, "learning_rate": 5e-3}


def rows_of(name, each):
    """`each` rows of each of the first intents, shuffled evenly: intent by intent in turn."""
    here = os.path.dirname(os.path.abspath(__file__))
    by_intent = {}
    with open(os.path.join(here, "..", "demo_data", name), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            by_intent.setdefault(row["category"], []).append(row)
    intents = sorted(by_intent)[:INTENTS]
    return [by_intent[intent][i] for i in range(each) for intent in intents]


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["text", "category"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


class Flow:
    """One client's way from upload to adapter. Methods named step_* run in order; each is one result."""

    def __init__(self, name, daemon, strict):
        self.name, self.daemon = name, daemon
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="unused", max_retries=0, timeout=60,
                                    _strict_response_validation=strict)
        self.jobs = self.client.fine_tuning.jobs
        self.valid_rows = rows_of("test.csv", VALID_EACH)

    def upload(self, name, rows):
        file = self.client.files.create(file=(name, as_csv(rows)), purpose="fine-tune")
        return self.client.files.wait_for_processing(file.id, poll_interval=0.1)

    def create(self, **more):
        return self.jobs.create(
            model=MODEL, training_file=self.train.id, validation_file=self.valid.id, seed=5, suffix="interop",
            method={"type": "supervised", "supervised": {"hyperparameters": HYPERPARAMETERS}},
            metadata={"suite": "interop"}, extra_body={"adapter": ADAPTER, "dataset": COLUMNS} | more)

    def wait(self, job_id):
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            job = self.jobs.retrieve(job_id)
            if job.status in ("succeeded", "failed", "cancelled"):
                return job
            time.sleep(0.2)
        raise AssertionError("the job did not end in 300 s")

    def step_1_upload(self):
        self.train = self.upload("train.csv", rows_of("train.csv", TRAIN_EACH))
        self.valid = self.upload("valid.csv", self.valid_rows)
        assert self.train.status == "processed", self.train.status_details
        assert self.valid.bytes == len(as_csv(self.valid_rows))
        assert self.client.files.content(self.valid.id).content == as_csv(self.valid_rows)
        assert {self.train.id, self.valid.id} <= {file.id for file in self.client.files.list(limit=1)}

    def step_1_validation(self):
        report = self.client.get(f"/files/{self.train.id}/validation", cast_to=dict[str, object], options={
            "params": {"label": "category", "model": MODEL, "against": self.valid.id}})
        tokenizer = AutoTokenizer.from_pretrained(os.environ["MINILM"])
        lengths = sorted(len(tokenizer(row["text"]).input_ids) for row in rows_of("train.csv", TRAIN_EACH))
        tokens = report["tokens"]
        assert (tokens["total"], tokens["min"], tokens["max"]) == (sum(lengths), lengths[0], lengths[-1]), tokens
        assert sum(bar["count"] for bar in tokens["histogram"]) == report["examples"] == len(lengths)
        assert report["label_count"] == INTENTS and {c["count"] for c in report["label_counts"]} == {TRAIN_EACH}
        valid = {row["text"] for row in self.valid_rows}
        assert report["overlap"]["count"] == sum(r["text"] in valid for r in rows_of("train.csv", TRAIN_EACH))

    def step_1_what_it_takes(self):
        body = {"model": MODEL, "training_file": self.train.id, "seed": 5, "adapter": ADAPTER, "dataset": COLUMNS,
                "hyperparameters": HYPERPARAMETERS}
        estimate = self.client.post("/fine_tuning/estimate", cast_to=dict[str, object], body=body)
        assert estimate["fits"] and estimate["steps"] == 2 * INTENTS * TRAIN_EACH // 16, estimate
        assert 0 < estimate["duration_seconds"]["low"] < estimate["duration_seconds"]["high"]
        if self.name == "client":
            dry = self.jobs.create(model=MODEL, training_file=self.train.id, seed=5, hyperparameters=HYPERPARAMETERS,
                                   extra_body={"adapter": ADAPTER, "dataset": COLUMNS}, extra_query={"dry_run": True})
            assert dry.to_dict()["tokens"] == estimate["tokens"] and dry.status is None
        assert not self.jobs.list(metadata={"suite": "none"}).data
        body["hyperparameters"] = HYPERPARAMETERS | {"n_epochs": 1, "batch_size": 256, "warmup_steps": 4}
        error = refused(openai.BadRequestError, lambda: self.client.post("/fine_tuning/estimate", cast_to=object, body=body))
        assert error.param == "warmup_steps", error

    def step_1_upload_in_parts(self):
        content = as_csv(rows_of("train.csv", TRAIN_EACH))
        chunked = self.client.uploads.upload_file_chunked(
            file=content, filename="chunks.csv", bytes=len(content), mime_type="text/csv", purpose="fine-tune",
            part_size=4096, md5=hashlib.md5(content).hexdigest())
        assert (chunked.status, chunked.file.bytes, chunked.file.filename) == ("completed", len(content), "chunks.csv")
        upload = self.client.uploads.create(bytes=len(content), filename="order.csv", mime_type="text/csv",
                                            purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600})
        middle = len(content) // 2
        second = self.client.uploads.parts.create(upload.id, data=content[middle:])
        first = self.client.uploads.parts.create(upload.id, data=("name.bin", content[:middle]))
        assert (first.object, first.upload_id) == ("upload.part", upload.id)
        refused(openai.BadRequestError, lambda: self.client.uploads.complete(upload.id, part_ids=[first.id]))
        done = self.client.uploads.complete(upload.id, part_ids=[first.id, second.id])
        assert done.file.expires_at == done.file.created_at + 3600, done
        for file in chunked.file, done.file:
            assert self.client.files.wait_for_processing(file.id, poll_interval=0.1).status == "processed"
            assert self.client.files.content(file.id).read() == content
            self.client.files.delete(file.id)
        upload = self.client.uploads.create(bytes=5, filename="x.csv", mime_type="text/csv", purpose="fine-tune")
        assert self.client.uploads.cancel(upload.id).status == "cancelled"
        refused(openai.ConflictError, lambda: self.client.uploads.parts.create(upload.id, data=b"12345"))

    def step_2_bad_data_is_found_at_upload(self):
        file = self.client.files.create(file=("bad.jsonl", b'{"text": "a", "label": "x"}\n{"text": 5,\n'),
                                        purpose="fine-tune")
        file = self.client.files.wait_for_processing(file.id, poll_interval=0.1)
        assert file.status == "error" and "line 2" in file.status_details, file
        assert self.client.files.delete(file.id).deleted
        refused(openai.NotFoundError, lambda: self.client.files.retrieve(file.id))

    def step_3_base_model(self):
        assert MODEL in [model.id for model in self.client.models.list()]
        assert self.client.models.retrieve(MODEL).id == MODEL

    def step_4_train(self):
        created = self.create()
        assert created.id.startswith("ftjob-") and created.seed == 5 and created.fine_tuned_model is None
        assert created.adapter["r"] == 8 and created.metadata == {"suite": "interop"}
        self.job = self.wait(created.id)
        assert self.job.status == "succeeded", self.job.error
        assert self.job.finished_at >= created.created_at and self.job.trained_tokens > 0
        assert self.job.error is None or self.job.error.message is None

    def step_5_events(self):
        pages = list(self.jobs.list_events(self.job.id, limit=1))
        whole = self.jobs.list_events(self.job.id, limit=100).data
        assert [event.id for event in pages[:len(whole)]] == [event.id for event in whole] and len(pages) > 3
        accuracy = {event.data["step"]: event.data["valid_accuracy"] for event in pages
                    if event.type == "metrics" and event.data and "valid_accuracy" in event.data}
        assert 0 in accuracy and len(accuracy) > 1, accuracy
        assert accuracy[max(accuracy)] > accuracy[0], accuracy

    def step_6_checkpoints(self):
        checkpoints = list(self.jobs.checkpoints.list(self.job.id, limit=1))
        assert len(checkpoints) >= 2 and len({checkpoint.id for checkpoint in checkpoints}) == len(checkpoints)
        steps = [checkpoint.step_number for checkpoint in checkpoints]
        assert steps == sorted(steps, reverse=True), steps
        assert checkpoints[0].fine_tuning_job_id == self.job.id

    def step_7_lists(self):
        assert self.job.id in [job.id for job in self.jobs.list(limit=1)]
        model = self.client.models.retrieve(self.job.fine_tuned_model)
        assert model.id == self.job.fine_tuned_model
        assert self.job.fine_tuned_model in [model.id for model in self.client.models.list()]

    def step_8_errors(self):
        missing = refused(openai.NotFoundError, lambda: self.jobs.retrieve("ftjob-none"))
        assert missing.code == "job_not_found", missing.body
        refused(openai.NotFoundError, lambda: self.client.models.retrieve("no/such:model"))
        wrong = refused(openai.BadRequestError, lambda: self.create(adapter=ADAPTER | {"r": -1}))
        assert wrong.param == "adapter.r", wrong.body
        unknown = refused(openai.BadRequestError, lambda: self.create(adapter=ADAPTER | {"rr": 8}))
        assert unknown.param == "adapter.rr" and unknown.code == "unknown_parameter", unknown.body
        finished = refused(openai.ConflictError, lambda: self.jobs.cancel(self.job.id))
        assert finished.code == "job_already_finished", finished.body
        assert finished.response.headers["x-should-retry"] == "false"

    def step_9_cancel(self):
        hyperparameters = HYPERPARAMETERS | {"n_epochs": 50}
        job = self.create(method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}})
        assert self.jobs.cancel(job.id).id == job.id
        assert self.wait(job.id).status == "cancelled"

    def reach(self, job_id, status, step=0):
        """Polls until the job has the status and has come so far. A lenient client: OpenAI's strict one of today does
        not know the status that its own pause leads to."""
        jobs = openai.OpenAI(base_url=self.daemon.url + "/v1", api_key="unused").fine_tuning.jobs
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            job = jobs.retrieve(job_id)
            if job.status == status and (job.progress or {}).get("step", 0) >= step:
                return job
            assert job.status not in ("succeeded", "failed", "cancelled"), (job.status, job.error)
            time.sleep(0.05)
        raise AssertionError(f"the job was not {status} in 100 s")

    def step_9_pause_and_resume(self):
        """What a paused job makes is what the same job made in one piece."""
        job = self.create()
        self.reach(job.id, "running", 2)
        paused = self.jobs.pause(job.id)
        assert paused.id == job.id and paused.object == "fine_tuning.job" and paused.pausing, paused
        at = self.reach(job.id, "paused").progress["step"]
        assert self.jobs.resume(job.id).status == "queued"
        after = self.wait(job.id)
        assert after.status == "succeeded" and at < self.job.progress["total_steps"], (after.error, at)
        hashes = [{file["name"]: file["sha256"] for file in json.loads(self.request("artifacts", of=one))["data"]}
                  for one in (self.job.id, job.id)]
        for name in ("adapter_model.safetensors", "step_metrics.csv", EVENTS):
            assert hashes[0][name] == hashes[1][name], name
        steps = [event.data["step"] for event in self.jobs.list_events(job.id, limit=100) if event.type == "metrics"]
        assert len(steps) == len(set(steps)), steps
        for call, code in ((self.jobs.pause, "job_not_pausable"), (self.jobs.resume, "job_not_resumable")):
            error = refused(openai.ConflictError, lambda: call(job.id))
            assert error.code == code and error.response.headers["x-should-retry"] == "false", error.body
        refused(openai.NotFoundError, lambda: self.jobs.pause("ftjob-none"))

    def step_a_adapter_in_peft(self):
        """The adapter from result_files, loaded by PEFT, against the daemon's own predictions."""
        files = [self.client.files.retrieve(file_id) for file_id in self.job.result_files]
        (archive,) = [file for file in files if file.filename == "adapter.tar"]
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(fileobj=io.BytesIO(self.client.files.content(archive.id).content)) as tar:
                tar.extractall(folder, filter="data")
            found = [path for path, _, names in os.walk(folder) if "adapter_config.json" in names]
            assert len(found) == 1, found
            self.compare_logits(found[0])

    def step_c_curve_in_tensorboard(self):
        """Every number of step_metrics.csv, and nothing else, as TensorBoard reads the event file."""
        prefixes = {"train": "train", "valid": "eval", "adapter": "adapter"}
        want = {}
        for row in csv.DictReader(io.StringIO(self.request("artifacts/step_metrics.csv").decode())):
            for column, value in row.items():
                prefix, _, rest = column.partition("_")
                tag = f"{prefixes[prefix]}/{rest}" if prefix in prefixes else f"train/{column}"
                if column != "step" and value:
                    want.setdefault(tag, []).append((int(row["step"]), 0.0, struct.unpack("f", struct.pack("f", float(value)))[0]))
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, EVENTS), "wb") as file:
                file.write(self.request(f"artifacts/{EVENTS}"))
            events = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
            events.Reload()
            got = {tag: [(one.step, one.wall_time, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        assert {"train/loss", "train/learning_rate", "train/grad_norm", "eval/loss", "eval/accuracy"} <= set(got), set(got)
        assert got == want, (set(got) ^ set(want), got["train/loss"][:3], want["train/loss"][:3])

    def request(self, path, body=None, of=None):
        url = f"{self.daemon.url}/v1/fine_tuning/jobs/{of or self.job.id}/{path}"
        request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as reply:
            return reply.read()

    def predictions(self):
        return [json.loads(line) for line in self.request("artifacts/predictions.jsonl").splitlines()]

    def compare_logits(self, adapter):
        """The adapter as its own README.md loads it: the code there runs as it is, but for the two paths."""
        predictions = self.predictions()
        assert [p["index"] for p in predictions] == list(range(len(self.valid_rows))), "not in file order"
        names, said = run_card(adapter, os.environ["MINILM"], MODEL)
        model = names["model"]
        assert isinstance(model, PeftModel) and not model.training
        intents = sorted({row["category"] for row in self.valid_rows})
        assert said.strip() in intents, said
        assert model.config.id2label == dict(enumerate(intents)), model.config.id2label
        assert model.config.label2id == {name: i for i, name in enumerate(intents)}
        assert model.config.problem_type == "single_label_classification"
        with open(os.path.join(adapter, "labels.json"), encoding="utf-8") as file:
            labels = json.load(file)
        assert labels["label2id"] == model.config.label2id and labels["num_labels"] == len(intents), labels
        tokenizer = AutoTokenizer.from_pretrained(os.environ["MINILM"])
        batch = tokenizer([row["text"] for row in self.valid_rows], padding=True, truncation=True, max_length=512,
                          return_tensors="pt")
        with torch.no_grad():
            theirs = model(**batch).logits
        ours = torch.tensor([p["logits"] for p in predictions])
        worst = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        print(f"# {len(predictions)} sentences, worst relative difference {worst:.2e}")
        assert ours.shape == theirs.shape and worst <= 1e-4, worst

    def step_b_merged_in_a_pipeline(self):
        """The merged model is a classifier of Transformers' with the classes' names."""
        self.request("exports", {"exports": ["merged:f32"]})
        state = "queued"
        while state in ("queued", "running"):
            time.sleep(0.2)
            (state,) = [item["status"] for item in json.loads(self.request("exports"))["data"]
                        if item["format"] == "merged:f32"]
        assert state == "succeeded", state
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(fileobj=io.BytesIO(self.request("artifacts/merged-f32.tar"))) as tar:
                tar.extractall(folder, filter="data")
            classify = pipeline("text-classification", model=folder)
            said = classify([row["text"] for row in self.valid_rows])
        want = [p["prediction"] for p in self.predictions()]
        assert [answer["label"] for answer in said] == want, list(zip(said, want))

    def step_c_a_continued_job_keeps_its_classes(self):
        """The file's first class is another than the job's: rows follow their names."""
        rows = [row for row in self.valid_rows if row["category"] != min(r["category"] for r in self.valid_rows)]
        part = self.upload("part.csv", rows)
        hyperparameters = HYPERPARAMETERS | {"n_epochs": 1, "learning_rate": 1e-9}
        # the validation file has a class that the training file lacks
        refused(openai.BadRequestError, lambda: self.create(
            training_file=part.id, validation_file=self.valid.id, from_checkpoint=self.job.id,
            method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}))
        job = self.create(training_file=part.id, validation_file=part.id, from_checkpoint=self.job.id,
                          method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}})
        before, self.job = self.predictions(), self.wait(job.id)
        assert self.job.status == "succeeded", self.job.error
        before = [p["prediction"] for p, row in zip(before, self.valid_rows) if row in rows]
        assert [p["prediction"] for p in self.predictions()] == before

    def step_d_delete(self):
        assert self.client.models.delete(self.job.fine_tuned_model).deleted
        refused(openai.NotFoundError, lambda: self.client.models.retrieve(self.job.fine_tuned_model))


def main():
    assert openai.__version__ == "3.54.0", openai.__version__
    daemon = Daemon({MODEL: os.environ["MINILM"]})
    total = failures = 0
    try:
        for name, strict in (("client", False), ("strict client", True)):
            total, failed = run_steps(Flow(name, daemon, strict), name, total)
            failures += failed
        if failures:
            print("".join("# " + line + "\n" for line in daemon.log().splitlines()[-40:]), end="")
    finally:
        status = daemon.stop()
    total += 1
    print(f"{'ok' if status == 0 else 'not ok'} {total} - the daemon ends with status 0 after SIGTERM (status {status})")
    print(f"1..{total}")
    return 1 if failures or status else 0


if __name__ == "__main__":
    sys.exit(main())

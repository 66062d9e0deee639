"""From texts with labels to a classifier in PEFT. usage: train_and_load.py URL MODEL_FOLDER
The server at URL has the base model all-MiniLM-L6-v2; MODEL_FOLDER is a folder with the same model, for PEFT."""

import json
import sys
import tarfile
import tempfile
import time

import torch
from openai import OpenAI
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

url, folder = sys.argv[1:]
client = OpenAI(base_url=url + "/v1", api_key="none")

# Upload: the file is checked before anything is trained.
rows = [{"text": f"{word} {i}", "label": label} for i in range(20)
        for word, label in (("a wonderful film", "good"), ("a dreadful film", "bad"))]
data = "".join(json.dumps(row) + "\n" for row in rows).encode()
file = client.files.create(file=("films.jsonl", data), purpose="fine-tune")
file = client.files.wait_for_processing(file.id, poll_interval=0.2)
if file.status != "processed":
    sys.exit(f"films.jsonl: {file.status_details}")

# Train: what is OpenAI's stands in its place, what is reflectd's own goes by extra_body.
job = client.fine_tuning.jobs.create(
    model="all-MiniLM-L6-v2", training_file=file.id, seed=1,
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 6, "learning_rate": 1e-2}}},
    extra_body={"adapter": {"peft_type": "HRA", "r": 8}})
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(0.5)
    job = client.fine_tuning.jobs.retrieve(job.id)
if job.status != "succeeded":
    sys.exit(f"{job.id} {job.status}: {job.error}")

# Fetch: one of the result files is the adapter as a PEFT folder.
results = {client.files.retrieve(id).filename: id for id in job.result_files}
with tempfile.TemporaryDirectory() as out:
    client.files.content(results["adapter.tar"]).write_to_file(out + "/adapter.tar")
    with tarfile.open(out + "/adapter.tar") as tar:
        tar.extractall(out, filter="data")

    # Load it over the base model, and ask.
    with open(out + "/labels.json", encoding="utf-8") as text:
        labels = json.load(text)
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels["num_labels"])
    model = PeftModel.from_pretrained(base, out).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer(["a wonderful film", "a dreadful film"], padding=True, return_tensors="pt")
with torch.no_grad():
    said = [labels["id2label"][str(int(i))] for i in model(**batch).logits.argmax(-1)]
print(said)
if said != ["good", "bad"]:
    sys.exit("the classifier has not learnt it")

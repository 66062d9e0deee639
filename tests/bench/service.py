"""What the benchmarks of the service share: a daemon on a temporary folder with one base model, and jobs on it."""

import csv
import datetime
import glob
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse

here = os.path.dirname(os.path.abspath(__file__))
build = os.environ.get("BUILD", "build")
os.environ.setdefault("BUILD_DIR", build)
sys.path.insert(0, os.path.join(here, "..", "interop"))
from daemon import Daemon  # noqa: E402

DEMO = os.path.join(here, "..", "demo_data", "train.csv")


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=8; keepalive_requests 1000000000; root {folder};
  default_type application/json; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nginx(folder):
    """An nginx with one worker that serves the files of the folder: (process, URL)."""
    port = free_port()
    with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as out:
        out.write(NGINX.format(folder=folder, port=port))
    return subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"]), f"http://127.0.0.1:{port}"


def congestion_control():
    """TCP's, which both sides of a loopback connection use. BBR's model of a path that is only memory is noise."""
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as file:
        return file.read().strip()


def dataset_of(path):
    """What a job must be told of the data's columns: a CSV is text and label, JSONL prompts and completions."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    if path.endswith(".csv"):
        text, label = first.strip().split(",")[:2]
        return {"text": text, "label": label}
    names = set(json.loads(first))
    return {"prompt": "question", "completion": "answer"} if {"question", "answer"} <= names else {}


def lines_of(text):
    """[(seconds since 1970, message)] of a log."""
    out = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line may be half written
        at = datetime.datetime.fromisoformat(entry["ts"].replace("Z", "+00:00"))
        out.append((at.timestamp(), entry["msg"]))
    return out


class Service:
    def __init__(self, model, *options):
        self.model = os.path.basename(os.path.abspath(model))
        self.daemon = Daemon({self.model: model}, *options)

    def stop(self):
        self.daemon.stop()

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.daemon.url).netloc)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {text.decode()}")
        return json.loads(text)

    def upload(self, path):
        """The file's id, once the file is checked."""
        put = subprocess.run([os.path.join(build, "reflect"), "--url", self.daemon.url, "files", "put", path],
                             stdout=subprocess.PIPE, text=True)
        if put.returncode:
            sys.exit(f"{path} cannot be uploaded")
        return put.stdout.strip()

    def create(self, file, dataset, batch, steps, method):
        """An HRA job on every Linear of the blocks; its id, and when it was asked for and accepted."""
        body = {"model": self.model, "training_file": file, "seed": 1, "dataset": dataset,
                "adapter": {"peft_type": method.upper(), "r": 8, "target_modules": "all-linear"},
                "method": {"type": "supervised", "supervised": {"hyperparameters": {
                    "batch_size": batch, "max_steps": steps, "learning_rate": 1e-3}}}}
        asked = time.time()
        job = self.request("POST", "/v1/fine_tuning/jobs", body)["id"]
        return job, asked, time.time()

    def status(self, job):
        return self.request("GET", f"/v1/fine_tuning/jobs/{job}")["status"]

    def log_of(self, job):
        """The lines of its worker's log."""
        path = os.path.join(self.daemon.folder, "data", "jobs", job, "log.txt")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8", errors="replace") as file:
            return lines_of(file.read())

    def tokens_of(self, job):
        """The tokens of each step of a finished job."""
        path, = glob.glob(os.path.join(self.daemon.folder, "data", "jobs", job, "*", "step_metrics.csv"))
        with open(path, newline="", encoding="utf-8") as file:
            total = [int(row["trained_tokens"]) for row in csv.DictReader(file)]
        return [now - before for before, now in zip([0] + total, total)]

    def started(self, job):
        """(when its worker was started, the worker's process id), or None."""
        for at, message in lines_of(self.daemon.log()):
            match = re.fullmatch(rf"{job} runs as process (\d+)", message)
            if match:
                return at, int(match[1])
        return None

    def wait(self, job):
        while (status := self.status(job)) not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.05)
        if status != "succeeded":
            sys.exit(f"{job} is {status}: {self.log_of(job)[-3:]}")

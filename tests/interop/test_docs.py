"""Runs the commands of docs/tasks.md, block by block, and the example of docs/from-openai.md's client. TAP lines."""

import os
import re
import subprocess
import sys
import tempfile

from daemon import Daemon


def blocks(path):
    """[(heading, commands)]"""
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^## ([^\n]*)\n(?:(?!^## ).)*?```sh\n(.*?)```", file.read(), re.M | re.S)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    docs = os.path.join(here, "..", "..", "docs")
    daemon = Daemon({"all-MiniLM-L6-v2": os.environ["MINILM"], "smollm2.gguf": os.environ["SMOLLM2"],
                     "painter": os.path.join(here, "..", "worker", "diffusion", "pipeline")})
    build = os.path.abspath(os.environ.get("BUILD_DIR", "build"))
    environment = os.environ | {"REFLECT_URL": daemon.url, "PATH": build + ":" + os.environ["PATH"]}
    failures = number = 0
    with tempfile.TemporaryDirectory() as folder:
        python = os.path.join(docs, "examples", "train_and_load.py")
        tests = [(title, ["bash", "-euo", "pipefail", "-c", commands]) for title, commands in blocks(os.path.join(docs, "tasks.md"))]
        tests.append(("the Python example ends with PEFT", [sys.executable, "-B", python, daemon.url, os.environ["MINILM"]]))
        for task in ("classify", "tags", "chat"):
            pasted = f"reflect init --task {task} --folder {task} | sed -n 's/^  //p' > {task}.sh; bash -eu {task}.sh"
            tests.append((f"what reflect init --task {task} prints", ["bash", "-euo", "pipefail", "-c", pasted]))
        for number, (title, command) in enumerate(tests, 1):
            done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=300, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            failures += done.returncode != 0
            print(f"{'ok' if done.returncode == 0 else 'not ok'} {number} - docs: {title}", flush=True)
            if done.returncode:
                print("".join("# " + line + "\n" for line in done.stdout.splitlines()[-20:]), end="")
    status = daemon.stop()
    print(f"1..{number}")
    return 1 if failures or status or number < 8 else 0


if __name__ == "__main__":
    sys.exit(main())

"""Proves that the unmodified openai client meets keys, scopes, tenants and limits as its own exceptions, and wastes no
retry on what a retry cannot change. Says TAP lines."""

import os
import subprocess
import sys

import openai

from daemon import Daemon
from steps import refused, run_steps

LINE = b'{"text":"good","label":"a"}\n'


def refused_as(kind, code, call):
    """The call must raise `kind` with that code."""
    error = refused(kind, call)
    assert error.code == code, f"{error.code}, not {code}: {error}"
    return error


class Keys:
    def __init__(self):
        self.daemon = Daemon({})

    def command(self, *words):
        build = os.environ.get("BUILD_DIR", "build")
        folder = os.path.join(self.daemon.folder, "data")
        return subprocess.run([os.path.join(build, "reflectd"), *words, "--data", folder], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()

    def client(self, key):
        return openai.OpenAI(base_url=self.daemon.url + "/v1", api_key=key, max_retries=2, timeout=60)

    def step_1_no_key_is_needed(self):
        assert self.client("unused").files.list().data == []

    def step_2_a_wrong_key(self):
        self.key = self.command("keys", "create", "--name", "a", "--tenant", "a")
        refused_as(openai.AuthenticationError, "invalid_api_key", self.client("unused").files.list)

    def step_3_a_key(self):
        self.file = self.client(self.key).files.create(file=("a.jsonl", LINE), purpose="fine-tune")
        assert [file.id for file in self.client(self.key).files.list()] == [self.file.id]

    def step_4_a_scope(self):
        reader = self.client(self.command("keys", "create", "--name", "r", "--tenant", "a", "--scope", "read"))
        assert reader.files.retrieve(self.file.id).bytes == len(LINE)
        refused_as(openai.PermissionDeniedError, "insufficient_scope", lambda: reader.files.delete(self.file.id))

    def step_5_another_tenant(self):
        other = self.client(self.command("keys", "create", "--name", "b", "--tenant", "b"))
        refused_as(openai.NotFoundError, "file_not_found", lambda: other.files.retrieve(self.file.id))
        refused_as(openai.NotFoundError, "file_not_found", lambda: other.files.content(self.file.id))
        assert other.files.list().data == []

    def step_6_a_limit_costs_no_retries(self):
        self.command("tenants", "set", "a", "--bytes-max", str(len(LINE)))
        refused_as(openai.RateLimitError, "quota_exceeded",
                   lambda: self.client(self.key).files.create(file=("b.jsonl", LINE), purpose="fine-tune"))
        assert self.daemon.log().count("POST /v1/files 429") == 1

    def step_7_a_revoked_key(self):
        self.command("keys", "revoke", self.key[4:12])
        refused_as(openai.AuthenticationError, "invalid_api_key", self.client(self.key).files.list)


if __name__ == "__main__":
    keys = Keys()
    steps, failed = run_steps(keys, "keys")
    print(f"1..{steps}")
    keys.daemon.stop()
    sys.exit(failed > 0)

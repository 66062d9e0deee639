"""Proves that the unmodified openai client sets up webhooks here, and that its unwrap accepts what is sent, before and
after the secret was replaced. Says TAP lines."""

import http.server
import os
import queue
import sys
import threading

import openai

from daemon import Daemon
from steps import run_steps

LINE = b'{"text":"good","label":"a"}\n'
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system", "fake_worker")


class Receiver(http.server.BaseHTTPRequestHandler):
    came = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        Receiver.came.put((dict(self.headers), body))

    def log_message(self, *_):
        pass


class Webhooks:
    def __init__(self):
        self.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()
        self.daemon = Daemon({}, "--webhook-http", "--webhook-targets", "any", "--sandbox", "off", "--worker-path", WORKER)
        models = os.path.join(self.daemon.folder, "models", "tiny")
        os.makedirs(models)
        with open(os.path.join(models, "config.json"), "w", encoding="ascii") as config:
            config.write("{}")
        self.client = openai.OpenAI(base_url=self.daemon.url + "/v1", api_key="unused", max_retries=0, timeout=60,
                                    _strict_response_validation=True)
        self.url = f"http://127.0.0.1:{self.receiver.server_port}/hook"

    def unwrap(self, secret):
        headers, body = Receiver.came.get(timeout=30)
        return self.client.webhooks.unwrap(body, headers, secret=secret)

    def step_1_create(self):
        assert "fine_tuning.job.failed" in self.client.webhooks.event_types.list().data
        made = self.client.webhooks.create(
            name="all", url=self.url,
            event_types=["fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled"])
        self.id, self.secret = made.id, made.signing_secret
        assert made.url == self.url and made.created_at == made.updated_at
        shown = self.client.webhooks.retrieve(self.id)
        assert not hasattr(shown, "signing_secret") and shown.signing_secret_hint.endswith(self.secret[-4:])
        assert [each.id for each in self.client.webhooks.list()] == [self.id]
        assert self.client.webhooks.update(self.id, name="other").name == "other"

    def step_2_what_is_refused(self):
        for change in ({"event_types": ["batch.completed"]}, {"url": "ftp://example.com"}):
            try:
                self.client.webhooks.update(self.id, **change)
                raise AssertionError(change)
            except openai.BadRequestError as error:
                assert error.param == list(change)[0], error.param

    def step_3_test(self):
        result = self.client.webhooks.test(self.id, event_type="fine_tuning.job.failed")
        assert result.status_code == 204 and result.success and result.webhook_endpoint_id == self.id
        event = self.unwrap(self.secret)
        assert event.type == "fine_tuning.job.failed" and event.object == "event"

    def job(self, suffix):
        file = self.client.files.create(file=("a.jsonl", LINE), purpose="fine-tune")
        return self.client.fine_tuning.jobs.create(model="tiny", training_file=file.id, suffix=suffix)

    def step_4_a_job_that_succeeds(self):
        job = self.job("ok")
        event = self.unwrap(self.secret)
        assert type(event).__name__ == "FineTuningJobSucceededWebhookEvent", event
        assert event.data.id == job.id and event.type == "fine_tuning.job.succeeded"

    def step_5_the_secret_is_replaced(self):
        made = self.client.webhooks.rotate_secret(self.id, keep_old_secret_active_for_24_hours=True)
        assert made.signing_secret != self.secret
        job = self.job("error")
        headers, body = Receiver.came.get(timeout=30)
        for secret in (self.secret, made.signing_secret):
            event = self.client.webhooks.unwrap(body, headers, secret=secret)
            assert event.type == "fine_tuning.job.failed" and event.data.id == job.id
        last = self.client.webhooks.rotate_secret(self.id)
        self.client.webhooks.test(self.id, event_type="fine_tuning.job.cancelled")
        headers, body = Receiver.came.get(timeout=30)
        self.client.webhooks.unwrap(body, headers, secret=last.signing_secret)
        try:
            self.client.webhooks.unwrap(body, headers, secret=made.signing_secret)
            raise AssertionError("a secret that is no longer one signs")
        except openai.InvalidWebhookSignatureError:
            pass

    def step_6_delete(self):
        assert self.client.webhooks.delete(self.id).deleted
        try:
            self.client.webhooks.retrieve(self.id)
            raise AssertionError("it is there")
        except openai.NotFoundError as error:
            assert error.code == "webhook_endpoint_not_found"


def main():
    webhooks = Webhooks()
    try:
        steps, failed = run_steps(webhooks, "webhooks")
    finally:
        webhooks.daemon.stop()
        webhooks.receiver.shutdown()
    print(f"1..{steps}")
    return failed > 0


sys.exit(main())

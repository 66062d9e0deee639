"""A reflectd on a temporary data folder, for tests: started on a free port, stopped by SIGTERM."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time


class Daemon:
    def __init__(self, models, *options):
        """`models`: {model id: path}; `options`: more of the daemon. Raises RuntimeError with its log
        when it does not start."""
        build = os.environ.get("BUILD_DIR", "build")
        self.folder = tempfile.mkdtemp(prefix="reflectd-test-")
        os.makedirs(os.path.join(self.folder, "models"))
        for name, target in models.items():
            os.symlink(os.path.abspath(target), os.path.join(self.folder, "models", name))
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [os.path.join(build, "reflectd"), "--data", os.path.join(self.folder, "data"),
                 "--models", os.path.join(self.folder, "models"), "--listen", "127.0.0.1:0",
                 "--upload-check-wait-ms", "15000", *options],  # checks are waited for, however busy the host is
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.url = self._wait_for_url()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _wait_for_url(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.log().splitlines():
                try:
                    message = json.loads(line).get("msg", "")
                except ValueError:
                    continue
                if message.startswith("listening on "):
                    return "http://" + message.removeprefix("listening on ")
            time.sleep(0.05)
        text = self.log()
        self.stop()
        raise RuntimeError("reflectd did not start:\n" + text)

    def stop(self):
        """Ends the daemon and removes its folder; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode

"""Drives the dashboard in headless Chromium as a user would: uploads, submits, watches the curve move, pauses, compares two
jobs, downloads the adapter; by keyboard, on a phone, in the dark, with a key. Says TAP lines; skipped where Chromium or
Playwright is missing.
Environment: MINILM (a model folder), SMOLLM2 (a GGUF file), SHOTS (a folder: pictures of every view are left there)."""

import csv
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.request
import zipfile

from daemon import Daemon
from steps import run_steps

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    print("1..0 # SKIP Playwright and axe are not installed (tests/interop/setup)")
    sys.exit(0)

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DATA = "tests/demo_data/train.csv"
MARKUP = "<img src=x onerror='document.title=1'><b>bold</b>.jsonl"
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
KEY = "the-key-of-the-test-of-the-dashboard"


def rows(count, step=1):
    """A CSV with each `step`th of `count` of Banking77's examples, which are of nearly all labels."""
    out = io.StringIO()
    with open(DATA, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    csv.writer(out).writerows([lines[0]] + lines[1::len(lines) // count][:count:step])
    return out.getvalue().encode()


class Dashboard:
    def __init__(self, browser):
        self.browser = browser
        self.daemon = Daemon({"all-MiniLM-L6-v2": os.environ["MINILM"]})
        self.complaints = []
        self.page = self.open(self.daemon.url)
        self.jobs = []

    def open(self, url, form="wide", theme="light"):
        width, height = SIZES[form]
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme,
                                           has_touch=form == "phone", accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(30000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.goto(url + "/")
        return page

    def go(self, page, where):
        page.evaluate("where => { location.hash = where; }", where)

    def loss(self):
        """What the plot of the loss says of itself."""
        return self.page.get_by_role("img", name="Loss").get_attribute("aria-label")

    def upload(self, name, data):
        self.page.get_by_label("Files to upload").set_input_files({"name": name, "mimeType": "text/csv", "buffer": data})

    # ---- in the order of a first visit ----

    def step_01_an_empty_server_says_what_to_do(self):
        expect(self.page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        self.page.get_by_role("link", name="Files", exact=True).first.click()
        expect(self.page.get_by_role("heading", name="No files yet")).to_be_visible()
        self.page.get_by_role("link", name="Compare").click()
        expect(self.page.get_by_role("heading", name="Choose two jobs or more")).to_be_visible()
        self.page.get_by_role("link", name="Models").click()
        expect(self.page.get_by_text("all-MiniLM-L6-v2")).to_be_visible()

    def step_02_uploads_are_checked(self):
        self.page.get_by_role("link", name="Files", exact=True).click()
        self.upload("broken.csv", b"text,category\ngood,a\nno label\n")
        expect(self.page.get_by_role("status").get_by_text("line 3, column 1")).to_be_visible()
        self.upload("train.csv", rows(600))
        expect(self.page.get_by_text("600 examples · csv")).to_be_visible()
        self.upload("held-out.csv", rows(600, 10))
        expect(self.page.get_by_text("60 examples · csv")).to_be_visible()
        self.page.get_by_role("link", name="train.csv").click()
        expect(self.page.get_by_text("text, category")).to_be_visible()
        self.page.get_by_label("Column of the label").select_option("category")
        expect(self.page.get_by_role("heading", name="Labels", exact=True)).to_be_visible()
        self.page.get_by_label("Tokens of the model").select_option("all-MiniLM-L6-v2")
        expect(self.page.get_by_role("heading", name="Tokens of an example")).to_be_visible()
        self.page.get_by_label("Compared with").select_option(index=1)
        expect(self.page.get_by_role("heading", name="In both files")).to_be_visible()

    def step_03_a_fault_stands_at_its_field(self):
        self.page.get_by_role("link", name="Train on it").click()
        self.page.get_by_label("Epochs").fill("many")
        self.page.get_by_role("button", name="Start the job").click()
        expect(self.page.get_by_label("Epochs")).to_have_attribute("aria-invalid", "true")
        expect(self.page.get_by_label("Epochs")).to_be_focused()

    def step_04_a_job_is_submitted(self):
        self.page.get_by_label("Epochs").fill("8")
        self.page.get_by_label("Suffix").fill("first")
        self.page.get_by_label("Label", exact=True).fill("category")
        self.page.get_by_label("Validation file").select_option(label=next(
            text for text in self.page.get_by_label("Validation file").locator("option").all_inner_texts() if text.startswith("held-out.csv")))
        expect(self.page.get_by_text("Trained parameters")).to_be_visible(timeout=60000)
        self.page.get_by_role("button", name="Start the job").click()
        expect(self.page.get_by_role("heading", name="first")).to_be_visible()
        self.jobs.append(self.page.url.rsplit("/", 1)[1])

    def step_05_the_curve_moves(self):
        expect(self.page.get_by_role("img", name="Loss")).to_have_attribute("aria-label", re.compile("training loss .* at step"))
        before = self.loss()
        self.page.wait_for_function("before => document.querySelector('.plot .canvas').getAttribute('aria-label') !== before", arg=before)
        assert self.page.locator(".plot canvas").count() >= 3
        assert "at step" in self.loss()

    def step_06_the_keyboard_reads_the_curve(self):
        plot = self.page.get_by_role("img", name="Loss")
        plot.focus()
        self.page.keyboard.press("Home")
        expect(self.page.locator(".plot .legend").first).to_contain_text("step 0")
        self.page.keyboard.press("ArrowRight")
        expect(self.page.locator(".plot .legend").first).to_contain_text("step 1")
        self.page.get_by_role("tab", name="Events").focus()
        self.page.keyboard.press("ArrowRight")
        expect(self.page.get_by_label("The worker's log")).to_contain_text("training examples")

    def step_07_paused_and_resumed(self):
        self.page.get_by_role("button", name="Pause").click()
        expect(self.page.locator(".badge.paused")).to_be_visible()
        self.page.get_by_role("button", name="Resume").click()
        expect(self.page.locator(".badge.running")).to_be_visible()

    def step_08_again_with_changes(self):
        self.page.get_by_role("link", name="Run again with changes").click()
        expect(self.page.get_by_label("Epochs")).to_have_value("8")
        self.page.get_by_label("Epochs").fill("1")
        self.page.get_by_label("Rank (r)").fill("4")
        self.page.get_by_label("Suffix").fill("second")
        self.page.get_by_role("button", name="Start the job").click()
        expect(self.page.get_by_role("heading", name="second")).to_be_visible()
        self.jobs.append(self.page.url.rsplit("/", 1)[1])
        expect(self.page.get_by_text("1st in the queue")).to_be_visible()

    def step_09_cancelled_after_a_question(self):
        self.go(self.page, f"#/jobs/{self.jobs[0]}")
        self.page.get_by_role("button", name="Cancel").click()
        self.page.get_by_role("button", name="No, go back").click()
        expect(self.page.locator(".badge.running")).to_be_visible()
        self.page.get_by_role("button", name="Cancel").click()
        self.page.get_by_role("button", name="Cancel the job").click()
        expect(self.page.locator(".badge.cancelled")).to_be_visible()

    def step_10_the_adapter_is_downloaded(self):
        self.go(self.page, f"#/jobs/{self.jobs[1]}")
        expect(self.page.locator(".badge.succeeded")).to_be_visible(timeout=120000)
        self.page.get_by_role("tab", name="Files").click()
        expect(self.page.get_by_role("button", name="Download adapter.tar")).to_be_visible()
        self.holds_adapter(self.page)

    def holds_adapter(self, page):
        with page.expect_download() as download:
            page.get_by_role("button", name="Download adapter", exact=True).click()
        with tarfile.open(download.value.path()) as tar:
            assert any(name.endswith("adapter_config.json") for name in tar.getnames()), tar.getnames()

    def step_11_what_was_expected_stands_beside_what_it_took(self):
        table = self.page.locator(".compared")
        expect(table.get_by_role("row", name="Steps 38 38")).to_be_visible()
        expect(table.get_by_role("row", name=re.compile("^Time .* s .* s$"))).to_be_visible()
        expect(table.get_by_role("row", name=re.compile("^Memory .*B .*B$"))).to_be_visible()

    def step_12_modules_tell_how_far_they_turn(self):
        heat = self.page.get_by_role("img", name=re.compile("^Rotation angle of 12 modules"))
        expect(heat).to_have_attribute("aria-label", re.compile("at step 38 the most is 0[.]"))
        legend = self.page.locator(".heat-map .legend")
        heat.focus()
        self.page.keyboard.press("ArrowDown")
        expect(legend).to_contain_text("layer.0.attention.self.query")
        expect(legend).to_contain_text("step 38")
        last = legend.locator("b").inner_text()
        self.page.keyboard.press("Home")
        expect(legend).to_contain_text("step 1")
        first = legend.locator("b").inner_text()
        assert float(first.split()[0]) < float(last.split()[0]), (first, last)
        shown = lambda: heat.evaluate("canvas => canvas.toDataURL()")
        box, before = heat.bounding_box(), shown()
        self.page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 4)
        expect(legend).to_contain_text(last)
        self.page.get_by_role("button", name="Orthogonality defect").click()
        heat = self.page.get_by_role("img", name=re.compile("^Orthogonality defect of 12 modules"))
        expect(heat).to_be_visible()
        assert heat.evaluate("canvas => canvas.toDataURL()") != before

    def step_13_two_jobs_are_compared(self):
        self.page.get_by_role("link", name="Jobs", exact=True).click()
        self.page.get_by_label("Choose first to compare").check()
        self.page.get_by_label("Choose second to compare").check()
        self.page.get_by_role("link", name="Compare 2 jobs").click()
        expect(self.page.get_by_role("region", name="Settings that differ").get_by_role("rowheader", name="adapter.r")).to_be_visible()
        expect(self.page.get_by_role("region", name="Settings that differ").get_by_role("rowheader", name="n_epochs")).to_be_visible()
        expect(self.page.get_by_role("img", name="Training loss")).to_have_attribute("aria-label", re.compile("first .*second "))

    def queued(self):
        """Names of the jobs that wait, as the page has them."""
        return self.page.locator("table.queue a.title").all_inner_texts()

    def ask(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.daemon.url + path, data, {"Content-Type": "application/json"} if data else {}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def job_like_the_first(self, epochs, **members):
        first = self.ask(f"/v1/fine_tuning/jobs/{self.jobs[0]}")
        return {"model": first["model"], "training_file": first["training_file"], "validation_file": first["validation_file"],
                "dataset": {"label": "category"}, "adapter": {"r": 4, "target_modules": ["query"]},
                "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}}, **members}

    def step_14_the_queue_is_reordered(self):
        self.waiting = [self.ask("/v1/fine_tuning/jobs", self.job_like_the_first(100, suffix=name))["id"] for name in ("runs", "alpha", "beta", "gamma")]
        self.go(self.page, "#/jobs")
        row = lambda name: self.page.locator("table.queue tr", has_text=name)
        expect(self.page.locator("table.queue a.title")).to_have_text(["alpha", "beta", "gamma"])
        row("gamma").get_by_role("button", name="to the front").click()
        expect(self.page.get_by_text("gamma is 1st in the queue.")).to_be_visible()
        expect(self.page.locator("table.queue a.title")).to_have_text(["gamma", "alpha", "beta"])
        row("gamma").get_by_role("button", name="Move gamma down").click()
        expect(self.page.locator("table.queue a.title")).to_have_text(["alpha", "gamma", "beta"])
        assert [job["suffix"] for job in self.ask("/v1/queue")["data"]] == ["runs", "alpha", "gamma", "beta"]

    def step_15_by_keyboard_and_by_priority(self):
        names = self.page.locator("table.queue a.title")
        names.filter(has_text="beta").focus()
        self.page.keyboard.press("Alt+ArrowUp")
        expect(names).to_have_text(["alpha", "beta", "gamma"])
        expect(names.filter(has_text="beta")).to_be_focused()
        self.page.keyboard.press("Alt+ArrowDown")
        expect(names).to_have_text(["alpha", "gamma", "beta"])
        priority = self.page.get_by_label("Priority of beta")
        priority.select_text()
        self.page.keyboard.type("7")
        self.page.wait_for_timeout(4500)
        expect(priority).to_have_value("7")  # what is being typed stays, though the queue is asked for again
        priority.press("Enter")
        expect(names).to_have_text(["beta", "alpha", "gamma"])
        self.page.get_by_role("button", name="Move gamma up").focus()
        self.page.keyboard.press("Enter")
        expect(names).to_have_text(["beta", "gamma", "alpha"])
        self.page.keyboard.press("Enter")
        expect(names).to_have_text(["gamma", "beta", "alpha"])  # it takes the priority of the one that it passes
        expect(self.page.get_by_label("Priority of gamma")).to_have_value("7")
        self.page.get_by_label("Priority of alpha").fill("1000")
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("status").get_by_text(re.compile("scheduling.priority"))).to_be_visible()

    def step_16_jobs_are_deleted_after_a_question(self):
        for job in self.waiting:
            self.ask(f"/v1/fine_tuning/jobs/{job}/cancel", method="POST")
        self.go(self.page, f"#/jobs/{self.waiting[0]}")
        expect(self.page.locator(".badge.cancelled")).to_be_visible()
        self.page.get_by_role("button", name="Delete").click()
        self.page.get_by_role("button", name="No, go back").click()
        self.page.get_by_role("button", name="Delete").click()
        self.page.get_by_role("button", name="Delete the job").click()
        expect(self.page.get_by_role("heading", name="Jobs")).to_be_visible()
        expect(self.page.get_by_role("link", name="runs", exact=True)).to_have_count(0)
        for name in ("alpha", "beta", "gamma"):
            self.page.get_by_label(f"Choose {name} to compare").check()
        self.page.get_by_role("button", name="Delete 3 jobs").click()
        self.page.get_by_role("button", name="Delete the jobs").click()
        expect(self.page.get_by_text("The jobs are deleted.")).to_be_visible()
        expect(self.page.get_by_role("link", name="gamma", exact=True)).to_have_count(0)
        assert {job["id"] for job in self.ask("/v1/fine_tuning/jobs")["data"]} == set(self.jobs)

    def step_17_a_sweep_is_compared(self):
        self.page.get_by_role("link", name="Sweeps").click()
        expect(self.page.get_by_role("heading", name="No sweeps yet")).to_be_visible()
        self.go(self.page, f"#/new/sweep?from={self.jobs[1]}")
        start = self.page.get_by_role("button", name="Start the sweep")
        start.click()
        expect(self.page.get_by_text("what is to differ is missing")).to_be_visible()
        self.page.get_by_label("Field", exact=True).select_option("adapter.r")
        self.page.get_by_label("Values").fill("2, many")
        start.click()
        expect(self.page.get_by_label("Values")).to_have_attribute("aria-invalid", "true")
        expect(self.page.get_by_label("Values")).to_be_focused()
        self.page.get_by_label("Values").fill("2, 4")
        self.page.get_by_label("Name", exact=True).fill("ranks")
        self.page.get_by_label("Suffix").fill("")
        self.page.get_by_role("button", name="Vary another field").click()
        second = self.page.get_by_label("Field", exact=True).nth(1)
        expect(second).to_be_focused()
        assert second.locator("option[value='adapter.r']").is_disabled()
        second.select_option("lr_scheduler_type")
        self.page.get_by_label("Values").nth(1).fill("linear, cosine")
        expect(self.page.locator(".side tbody tr")).to_have_count(4, timeout=60000)
        self.page.get_by_role("button", name="Remove this field").nth(1).click()
        expect(self.page.locator(".side tbody tr")).to_have_count(2, timeout=60000)
        start.click()
        expect(self.page.get_by_role("heading", name="ranks")).to_be_visible()
        self.sweep = self.page.url.rsplit("/", 1)[1]
        assert self.ask(f"/v1/fine_tuning/sweeps/{self.sweep}")["job_count"] == 2
        expect(self.page.locator(".head .badge.succeeded")).to_have_text("finished", timeout=120000)
        table = self.page.get_by_role("region", name="Jobs by validation loss, the lowest first")
        results = self.ask(f"/v1/fine_tuning/sweeps/{self.sweep}/results")["data"]
        expect(table.locator("tbody tr")).to_have_count(2)
        for i, row in enumerate(results):
            expect(table.locator("tbody tr").nth(i).locator("td").nth(1)).to_have_text(str(i + 1))
            expect(table.locator("tbody tr").nth(i).locator("td").nth(2)).to_have_text(str(row["values"]["adapter.r"]))
        plot = self.page.get_by_role("img", name="Training loss")
        expect(plot).to_have_attribute("aria-label", re.compile("Training loss: [24] [0-9.]+ at step .*, [24] [0-9.]+ at step "))
        self.page.get_by_label("Draw the curves of 2").uncheck()
        expect(plot).to_have_attribute("aria-label", re.compile("Training loss: 4 [0-9.]+ at step [0-9]+[.] Arrow"))
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download table").click()
        with open(download.value.path(), encoding="utf-8") as file:
            assert file.read().startswith("rank,job_id,status,adapter.r")
        self.page.get_by_role("link", name="Open the job 2").click()
        expect(self.page.get_by_role("heading", name="r=2")).to_be_visible()
        self.page.locator(".facts a").click()
        expect(self.page.get_by_role("heading", name="ranks")).to_be_visible()

    def step_18_markup_is_only_text(self):
        self.go(self.page, "#/files")
        self.upload(MARKUP, b'{"text": "<script>document.title=1</script>", "label": "<b>x</b>"}\n')
        expect(self.page.get_by_role("link", name=MARKUP)).to_be_visible()
        expect(self.page.get_by_text("1 example", exact=True)).to_be_visible()
        request = urllib.request.Request(self.daemon.url + f"/v1/fine_tuning/jobs/{self.jobs[0]}")
        with urllib.request.urlopen(request) as answer:
            training = json.load(answer)["training_file"]
        body = json.dumps({"model": "all-MiniLM-L6-v2", "training_file": training, "dataset": {"label": "category"},
                                         "metadata": {MARKUP[:60]: MARKUP}, "suffix": "marked",
                                         "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}}}).encode()
        request = urllib.request.Request(self.daemon.url + "/v1/fine_tuning/jobs", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            marked = json.load(answer)["id"]
        self.page.get_by_role("link", name=MARKUP).click()
        expect(self.page.get_by_role("heading", name=MARKUP)).to_be_visible()
        self.go(self.page, f"#/jobs/{marked}")
        self.page.get_by_role("tab", name="Settings").click()
        expect(self.page.get_by_text(MARKUP).first).to_be_visible()
        self.go(self.page, f"#/compare/{marked},{self.jobs[1]}")
        expect(self.page.get_by_text(MARKUP).first).to_be_visible()
        self.go(self.page, "#/new")
        expect(self.page.get_by_label("Training file")).to_contain_text(MARKUP)
        self.go(self.page, "#/nothing/<img src=x>")
        self.go(self.page, "#/jobs/" + MARKUP)
        expect(self.page.get_by_text("There is no such job")).to_be_visible()
        assert self.page.title() == "reflectd" and self.page.locator("main img, main b:text('bold')").count() == 0
        assert not [text for text in self.complaints if "Content Security Policy" in text], self.complaints

    def step_19_every_view_in_every_form(self):
        file = self.page.evaluate("fetch('v1/files').then(answer => answer.json()).then(list => list.data.find(file => file.filename === 'train.csv').id)")
        views = {"jobs": "#/jobs", "job": f"#/jobs/{self.jobs[1]}", "compare": f"#/compare/{','.join(self.jobs)}", "new": "#/new", "new-sweep": f"#/new/sweep?from={self.jobs[1]}", "files": "#/files",
                 "file": f"#/files/{file}", "models": "#/models", "sweeps": "#/sweeps", "sweep": f"#/sweeps/{self.sweep}"}
        wrong = []
        for form in SIZES:
            for theme in ("light", "dark"):
                page = self.open(self.daemon.url, form, theme)
                for name, where in views.items():
                    self.go(page, where)
                    expect(page.locator("main h1").first).to_be_visible()
                    page.wait_for_timeout(900)
                    if os.environ.get("SHOTS"):
                        os.makedirs(os.environ["SHOTS"], exist_ok=True)
                        page.screenshot(path=os.path.join(os.environ["SHOTS"], f"{name}-{form}-{theme}.png"), full_page=True)
                    if page.evaluate("document.scrollingElement.scrollWidth > innerWidth"):
                        wrong.append(f"{name} scrolls sideways: {form}")
                    for found in Axe().run(page).response["violations"]:
                        if found["impact"] in ("serious", "critical"):
                            wrong.append(f"{name} {form} {theme}: {found['id']}: {found['nodes'][0]['html'][:160]}")
                page.context.close()
        assert not wrong, "\n".join(wrong)

    def step_20_the_theme_is_chosen(self):
        ground = lambda: self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = ground()
        button = self.page.get_by_role("button", name="Theme")
        for _ in range(2):
            button.click()
        assert ground() != light
        self.page.reload()
        assert ground() != light

    def step_21_the_sweep_is_deleted_and_the_api_is_documented(self):
        self.go(self.page, f"#/sweeps/{self.sweep}")
        self.page.get_by_role("button", name="Delete").click()
        self.page.get_by_role("button", name="Delete the sweep").click()
        expect(self.page.get_by_role("heading", name="No sweeps yet")).to_be_visible()
        assert not self.ask("/v1/fine_tuning/sweeps")["data"]
        self.go(self.page, f"#/sweeps/{MARKUP}")
        expect(self.page.get_by_text("There is no such sweep")).to_be_visible()
        self.page.get_by_role("link", name="API").click()
        expect(self.page.get_by_role("heading", name="The API")).to_be_visible()
        expect(self.page.get_by_text("/v1/fine_tuning/jobs/{job_id}/telemetry")).to_be_visible()
        self.page.go_back()

    def step_22_with_a_key(self):
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, "key")
        with open(path, "w", encoding="utf-8") as file:
            file.write(KEY + "\n")
        os.chmod(path, 0o600)
        guarded = Daemon({"all-MiniLM-L6-v2": os.environ["MINILM"]}, "--api-key-file", path)
        try:
            page = self.open(guarded.url)
            field = page.get_by_role("textbox", name="API key")
            field.fill("wrong")
            page.get_by_role("button", name="Use this key").click()
            expect(page.get_by_text("The API key is wrong")).to_be_visible()
            field.fill(KEY)
            page.get_by_role("button", name="Use this key").click()
            expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
            page.reload()
            expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
            self.go(page, "#/files")
            page.get_by_label("Files to upload").set_input_files({"name": "t.csv", "mimeType": "text/csv", "buffer": rows(40)})
            page.get_by_role("link", name="t.csv").click()
            with page.expect_download() as download:
                page.get_by_role("button", name="Download").click()
            with open(download.value.path(), "rb") as file:
                assert file.read() == rows(40)
            self.go(page, "#/new")
            page.get_by_label("Label", exact=True).wait_for(state="attached")
            page.get_by_label("Training file").select_option(index=1)
            page.get_by_label("Label", exact=True).fill("category")
            page.get_by_label("Epochs").fill("1")
            page.get_by_role("button", name="Start the job").click()
            expect(page.locator(".badge.succeeded")).to_be_visible(timeout=60000)
            expect(page.get_by_role("img", name="Loss")).to_have_attribute("aria-label", re.compile("training loss .* at step"))
            self.holds_adapter(page)
            page.get_by_role("button", name="Key").click()
            expect(page.get_by_role("textbox", name="API key")).to_be_visible()
        finally:
            guarded.stop()
            shutil.rmtree(folder)

    def step_23_answers_are_preferred(self):
        """method.type offers what the model can learn, with the members that each objective has."""
        self.go(self.page, "#/new")
        expect(self.page.get_by_label("Training method")).to_have_text("supervised (default)")
        expect(self.page.get_by_label("Instance prompt")).to_be_hidden()
        preferring = Daemon({"smollm2.gguf": os.environ["SMOLLM2"]})
        try:
            page = self.open(preferring.url)
            self.go(page, "#/files")
            lines = "".join(json.dumps({"prompt": f"{n} plus 1?", "chosen": f"{n + 1}", "rejected": "None."}) + "\n" for n in range(8))
            page.get_by_label("Files to upload").set_input_files({"name": "pairs.jsonl", "mimeType": "text/plain", "buffer": lines.encode()})
            page.get_by_role("link", name="Train on it").click()
            page.get_by_label("Epochs").fill("2")
            method = page.get_by_label("Training method")
            fields = {"supervised": [], "dpo": ["Beta", "Loss type", "Label smoothing", "RPO alpha"], "orpo": ["Beta"],
                      "kto": ["Beta", "Desirable weight", "Undesirable weight"]}
            assert method.locator("option").evaluate_all("all => all.map(one => one.value)") == list(fields)
            for name, own in fields.items():
                method.select_option(name)
                for label in set(sum(fields.values(), [])):
                    expect(page.get_by_label(label, exact=True)).to_have_count(int(label in own))
                expect(page.get_by_label("Epochs")).to_have_value("2")
                expect(page.get_by_label("Task", exact=True)).to_be_visible(visible=name == "supervised")
            method.select_option("dpo")
            expect(page.get_by_text("dpo learns from pairs of answers")).to_be_visible()
            page.get_by_label("Beta", exact=True).fill("3")
            page.get_by_role("button", name="Start the job").click()
            expect(page.get_by_label("Beta", exact=True)).to_have_attribute("aria-invalid", "true")
            page.get_by_label("Beta", exact=True).fill("0.3")
            page.get_by_label("Batch size").fill("4")
            page.get_by_role("button", name="Start the job").click()
            expect(page.locator(".badge.succeeded")).to_be_visible(timeout=120000)
            page.get_by_role("tab", name="Settings").click()
            expect(page.get_by_text("method.type", exact=True)).to_be_visible()
            page.get_by_role("link", name="Run again with changes").click()
            expect(page.get_by_label("Training method")).to_have_value("dpo")
            expect(page.get_by_label("Beta", exact=True)).to_have_value("0.3")
        finally:
            preferring.stop()

    def step_24_previews_of_pictures(self):
        """They are seen while the job trains, by prompt and step; a prompt full of markup is only text."""
        prompt = "a <b>dog</b>"
        painting = Daemon({"painter": "tests/worker/diffusion/pipeline"})
        try:
            page = self.open(painting.url)
            self.go(page, "#/files")
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                for name in ("png-exif-6", "webp-exif-6"):
                    archive.write(f"tests/fuzz/corpus/image/{name}", name.split("-", 1)[0] + "." + name.split("-", 1)[0])
            page.get_by_label("Files to upload").set_input_files(
                {"name": "dogs.zip", "mimeType": "application/zip", "buffer": packed.getvalue()})
            page.get_by_role("link", name="Train on it").click()
            page.get_by_label("Task", exact=True).select_option("subject-driven")
            page.get_by_label("Instance prompt").fill("a photo of a red dog")
            page.get_by_label("Resolution").fill("16")
            page.get_by_label("Validation prompts").fill(prompt)
            for more, fields in {"More of the pictures": {"Num validation images": "1", "Num inference steps": "2"},
                                 "More of the training": {"Max steps": "6000"}}.items():
                page.get_by_text(more).click()
                for label, value in fields.items():
                    page.get_by_label(label).fill(value)
            page.get_by_role("button", name="Start the job").click()
            expect(page.get_by_role("img", name=f"{prompt}, at step 0")).to_be_visible()
            expect(page.get_by_role("img", name=f"{prompt}, at step 100")).to_be_visible()
            expect(page.locator(".badge.running")).to_be_visible()
            sizes = page.locator(".pictures img").evaluate_all("all => all.map(one => one.naturalWidth)")
            assert len(sizes) >= 2 and set(sizes) == {16}, sizes
            job = page.evaluate("""async () => {
              const ask = (path, body) => fetch(`v1/${path}`, body === undefined ? {} :
                {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)}).then(said => said.json());
              const [file] = (await ask('files')).data, [first] = (await ask('fine_tuning/jobs')).data;
              await ask(`fine_tuning/jobs/${first.id}/cancel`, {});
              return (await ask('fine_tuning/jobs', {model: 'painter', training_file: file.id, validation_file: file.id,
                task: 'controllable', method: {type: 'supervised', supervised: {hyperparameters: {max_steps: 2}}},
                image: {instance_prompt: 'a dog', conditioning: 'canny', resolution: 16, num_validation_images: 2, num_inference_steps: 2}})).id;
            }""")
            self.go(page, f"#/jobs/{job}")
            for name in ("Hint 1", "Hint 2", "Validation picture 2, at step 2"):
                expect(page.get_by_role("img", name=name)).to_be_visible(timeout=60000)
        finally:
            painting.stop()

    def step_25_nothing_was_complained_of(self):
        left = [text for text in self.complaints if "Failed to load resource" not in text]
        assert not left, left


def main():
    if not CHROMIUM:
        print("1..0 # SKIP there is no Chromium (Debian's package chromium)")
        return 0
    expect.set_options(timeout=30000)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        dashboard = Dashboard(browser)
        steps, failed = run_steps(dashboard, "dashboard")
        print(f"1..{steps}")
        browser.close()
        if dashboard.daemon.stop() != 0:
            failed += 1
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What docs/from-openai.md says, as OpenAI's users do it: their data formats and calls, by the unmodified client, on a
language model (SmolLM2). Says TAP lines."""

import json
import os
import sys
import time

import openai

from daemon import Daemon
from steps import refused, run_beside

MODEL = "smollm2.gguf"
LINES = 10  # OpenAI's least
WEATHER = {"type": "function", "function": {
    "name": "get_current_weather", "description": "The weather of a place now",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}}}
CALL = {"name": "get_current_weather", "arguments": "{\"location\": \"Oslo, Norway\"}"}


def ask(text="What is the weather in Oslo?"):
    return {"role": "user", "content": text}


def say(text, **more):
    return {"role": "assistant", "content": text} | more


CHAT = [{"messages": [{"role": "system", "content": "You answer in one word."}, ask(f"{i} plus {i}?"), say(str(2 * i))]}
        for i in range(LINES)]
WEIGHTED = [{"messages": [ask("The capital of France?"), say("Lyon", weight=0), ask("Sure?"), say(f"Paris {i}", weight=1)]}
            for i in range(LINES)]
TOOLS = [{"messages": [ask(), {"role": "assistant", "tool_calls": [{"id": f"call_{i}", "type": "function", "function": CALL}]}],
          "parallel_tool_calls": False, "tools": [WEATHER]} for i in range(LINES)]
RESULTS = [{"messages": TOOLS[i]["messages"] + [{"role": "tool", "tool_call_id": f"call_{i}", "content": "21"}, say("It is 21.")],
            "tools": [WEATHER]} for i in range(LINES)]
FUNCTIONS = [{"messages": [ask(), {"role": "assistant", "function_call": CALL}], "functions": [WEATHER["function"]]}
             for i in range(LINES)]
PROMPTS = [{"prompt": f"{i} plus 1 ->", "completion": f" {i + 1}"} for i in range(LINES)]
VISION = [{"messages": [ask([{"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}}]), say("A cat.")]}]
PREFERENCES = [{"input": {"messages": [ask()], "tools": [], "parallel_tool_calls": True},
                "preferred_output": [say(f"Mild, {i} degrees.")], "non_preferred_output": [say("No.")]} for i in range(LINES)]


class Habits:
    """Methods named step_* run in order; each is one result."""

    def __init__(self, daemon):
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0)
        self.jobs = self.client.fine_tuning.jobs

    def upload(self, name, lines):
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        file = self.client.files.create(file=(name + ".jsonl", data), purpose="fine-tune")
        return self.client.files.wait_for_processing(file.id, poll_interval=0.1)

    def create(self, **more):
        return self.jobs.create(**{"model": MODEL, "training_file": self.chat.id} | more)

    def wait(self, job):
        deadline = time.monotonic() + 400
        while job.status not in ("succeeded", "failed", "cancelled") and time.monotonic() < deadline:
            time.sleep(0.3)
            job = self.jobs.retrieve(job.id)
        assert job.status == "succeeded", (job.status, job.error)
        return job

    def step_1_every_format_of_supervised_data_is_taken(self):
        for name, lines in (("weighted", WEIGHTED), ("tools", TOOLS), ("results", RESULTS), ("functions", FUNCTIONS),
                            ("prompts", PROMPTS), ("chat", CHAT), ("one", CHAT[:1])):
            file = self.upload(name, lines)
            assert file.status == "processed" and file.validation["examples"] == len(lines), file
            setattr(self, name, file)

    def step_2_what_is_not_trained_is_refused_with_the_reason(self):
        vision = self.upload("vision", VISION)
        assert vision.status == "error" and "image_url; only text is supported" in vision.status_details, vision
        grader = {"type": "string_check", "name": "same", "operation": "eq", "input": "a", "reference": "b"}
        error = refused(openai.BadRequestError, lambda: self.create(
            method={"type": "reinforcement", "reinforcement": {"grader": grader}}))
        assert error.param == "method.type" and "supervised, dpo, orpo or kto" in error.message, error.body
        wandb = {"type": "wandb", "wandb": {"project": "p"}}
        error = refused(openai.BadRequestError, lambda: self.create(integrations=[wandb]))
        assert error.param == "integrations" and "step_metrics.csv" in error.message, error.body
        error = refused(openai.NotFoundError, lambda: self.create(model="gpt-4o-mini-2024-07-18"))
        assert error.code == "model_not_found" and MODEL in error.message, error.body
        error = refused(openai.BadRequestError, lambda: self.create(suffix="my model"))
        assert error.param == "suffix", error.body
        error = refused(openai.BadRequestError, lambda: self.client.files.create(file=("e.jsonl", b"{}"), purpose="evals"))
        assert error.code == "invalid_file_purpose", error.body

    def step_3_tools_need_a_template_that_writes_them(self):
        for file in (self.tools, self.results, self.functions):
            error = refused(openai.BadRequestError, lambda: self.create(training_file=file.id))
            assert error.code == "dataset_invalid" and "dataset.chat_template" in error.message, error.body
            job = self.create(training_file=file.id, extra_body={"dataset": {"chat_template": "chatml"}})
            assert self.jobs.cancel(job.id).id == job.id

    def step_4_a_job_as_it_was(self):
        job = self.create(suffix="one-word", seed=42, metadata={"team": "a"}, validation_file=self.weighted.id, method={
            "type": "supervised", "supervised": {"hyperparameters": {
                "n_epochs": 1, "batch_size": "auto", "learning_rate_multiplier": "auto"}}})
        assert job.seed == 42 and job.hyperparameters.n_epochs == 1 and job.adapter["peft_type"] == "HRA", job
        self.job = self.wait(job)
        assert self.job.fine_tuned_model.startswith(f"ft:{MODEL}:local:one-word:"), self.job.fine_tuned_model
        assert self.job.trained_tokens > 0 and self.job.finished_at >= self.job.created_at

    def step_4b_preferences(self):
        file = self.upload("preferences", PREFERENCES)
        assert file.status == "processed" and file.validation["kind"] == "preference" and not file.validation["warnings"], file
        error = refused(openai.BadRequestError, lambda: self.create(training_file=file.id))
        assert error.param == "method.type" and "dpo" in error.message, error.body
        equal = [dict(line, non_preferred_output=line["preferred_output"]) for line in PREFERENCES]
        bad = self.upload("equal", PREFERENCES[:1] + equal)
        method = {"type": "dpo", "dpo": {"hyperparameters": {
            "beta": 0.2, "batch_size": 4, "learning_rate_multiplier": "auto", "n_epochs": 1}}}
        error = refused(openai.BadRequestError, lambda: self.create(training_file=bad.id, method=method))
        assert error.param == "training_file" and "line 2" in error.message and "are equal" in error.message, error.body
        job = self.create(training_file=file.id, validation_file=file.id, method=method)
        assert job.method.type == "dpo" and job.method.dpo.hyperparameters.beta == 0.2 and job.hyperparameters.n_epochs == 1, job
        job = self.wait(job)
        metrics = [event.data for event in self.jobs.list_events(job.id) if event.type == "metrics"]
        assert any("rewards/margins" in data and "logps/chosen" in data for data in metrics), metrics
        assert abs(metrics[-1]["valid_loss"] - 0.6931) < 1e-3 and metrics[0]["valid_rewards/chosen"] != 0, metrics

    def step_5_the_older_place_of_hyperparameters(self):
        job = self.create(training_file=self.prompts.id, hyperparameters={"n_epochs": 2})
        assert job.hyperparameters.n_epochs == 2 and job.method.type == "supervised"
        self.jobs.cancel(job.id)

    def step_6_events_checkpoints_results(self):
        events = list(self.jobs.list_events(self.job.id, limit=2))
        assert len(events) == len({event.id for event in events}) > 3
        metrics = [event.data for event in events if event.type == "metrics"]
        assert any("train_loss" in data for data in metrics), metrics
        checkpoint = next(iter(self.jobs.checkpoints.list(self.job.id)))
        assert checkpoint.fine_tuned_model_checkpoint.startswith(self.job.fine_tuned_model + ":ckpt-step-")
        assert checkpoint.metrics.full_valid_loss > 0 or checkpoint.metrics.valid_loss > 0
        files = {self.client.files.retrieve(id).filename: id for id in self.job.result_files}
        columns = self.client.files.content(files["step_metrics.csv"]).text.splitlines()[0].split(",")
        assert {"step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy"} <= set(columns)
        assert "adapter.tar" in files, files

    def step_7_lists(self):
        newest = self.create(metadata={"team": "b"})
        self.jobs.cancel(newest.id)
        assert [job.id for job in self.jobs.list(metadata={"team": "a"})] == [self.job.id]
        assert [job.id for job in self.jobs.list(limit=1)][0] == newest.id
        assert self.job.fine_tuned_model in [model.id for model in self.client.models.list()]

    def step_8_errors(self):
        assert refused(openai.NotFoundError, lambda: self.jobs.retrieve("ftjob-none")).code == "job_not_found"
        assert refused(openai.ConflictError, lambda: self.jobs.cancel(self.job.id)).code == "job_already_finished"
        assert refused(openai.ConflictError, lambda: self.jobs.pause(self.job.id)).code == "job_not_pausable"
        assert refused(openai.ConflictError, lambda: self.client.models.delete(MODEL)).code == "model_not_deletable"
        answer = self.client.chat.completions.create(model=self.job.fine_tuned_model, messages=[ask()], max_tokens=4)
        assert answer.model == self.job.fine_tuned_model and answer.usage.completion_tokens <= 4
        assert self.client.models.delete(self.job.fine_tuned_model).deleted


def main():
    daemon = Daemon({MODEL: os.environ["SMOLLM2"]})
    return run_beside(daemon, Habits, "from OpenAI")


if __name__ == "__main__":
    sys.exit(main())

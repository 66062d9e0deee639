"""What models are asked, by the unmodified openai client: a base model, what was fine-tuned from it, an encoder. Says TAP
lines."""

import asyncio
import json
import os
import sys
import time
import urllib.request

import openai

from daemon import Daemon
from steps import refused, run_beside

MODEL, ENCODER = "smollm2.gguf", "minilm"
WEATHER = {"type": "function", "function": {"name": "get_current_weather", "description": "The weather of a place now",
                                            "parameters": {"type": "object", "properties": {}}}}


def ask(text="What is the capital of France?"):
    return [{"role": "user", "content": text}]


class Chat:
    def __init__(self, daemon):
        self.daemon = daemon
        self.client = openai.OpenAI(base_url=daemon.url + "/v1", api_key="none", max_retries=0)
        self.chat = self.client.chat.completions

    def create(self, **more):
        return self.chat.create(**{"model": MODEL, "messages": ask(), "temperature": 0, "max_tokens": 24} | more)

    def post(self, path, body):
        request = urllib.request.Request(self.daemon.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def step_01_a_question_is_answered(self):
        answer = self.create()
        assert "Paris" in answer.choices[0].message.content, answer
        assert answer.choices[0].message.role == "assistant"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.completion_tokens <= 24 and answer.system_fingerprint
        self.answer = answer.choices[0].message.content

    def step_02_a_stream_says_the_same(self):
        text, finish, usage = "", None, None
        for chunk in self.create(stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        assert (text, finish) == (self.answer, "stop"), (text, finish)
        assert usage.completion_tokens > 0

    def step_03_the_length_is_kept(self):
        answer = self.create(max_tokens=2)
        assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 2

    def step_04_choices_follow_from_the_seed(self):
        def texts(**more):
            answer = self.create(temperature=1, n=3, seed=11, messages=ask("Write a line about the sea."), **more)
            return [choice.message.content for choice in answer.choices]
        first = texts()
        assert len(set(first)) > 1 and texts() == first, first

    def step_05_a_stop_ends_the_text_before_it(self):
        answer = self.create(stop=["Paris", "nowhere"])
        assert answer.choices[0].finish_reason == "stop"
        assert answer.choices[0].message.content == self.answer[:self.answer.index("Paris")]

    def step_06_log_probabilities(self):
        answer = self.create(logprobs=True, top_logprobs=3, max_tokens=4)
        tokens = answer.choices[0].logprobs.content
        assert len(tokens) == 4 and all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)
        assert all(token.token == token.top_logprobs[0].token for token in tokens), "greedy takes the likeliest"
        legacy = self.client.completions.create(model=MODEL, prompt="Once upon a", max_tokens=4, temperature=0, logprobs=2)
        assert len(legacy.choices[0].logprobs.tokens) == 4
        assert "".join(legacy.choices[0].logprobs.tokens) == legacy.choices[0].text

    def step_07_a_bias_forbids_a_token(self):
        word = self.client.completions.create(model=MODEL, prompt="Once upon a", max_tokens=1, temperature=0)
        top = self.create(logprobs=True, top_logprobs=1, max_tokens=1).choices[0].logprobs.content[0]
        penalised = self.create(max_tokens=1, extra_body={"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.1})
        assert word.choices[0].text and top.bytes and penalised.choices[0].message.content

    def step_08_completions_of_texts_and_of_ids(self):
        answer = self.client.completions.create(model=MODEL, prompt=["One, two,", "A, b,"], max_tokens=4, temperature=0, n=2)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        assert answer.choices[0].text == answer.choices[1].text
        echo = self.client.completions.create(model=MODEL, prompt="One, two,", max_tokens=4, temperature=0, echo=True)
        assert echo.choices[0].text == "One, two," + answer.choices[0].text
        ids = self.client.completions.create(model=MODEL, prompt=[1, 2, 3], max_tokens=2, temperature=0)
        assert ids.usage.prompt_tokens == 3
        stream = self.client.completions.create(model=MODEL, prompt="One, two,", max_tokens=4, temperature=0, stream=True)
        assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == answer.choices[0].text

    def step_09_parts_and_roles_stand_in_the_prompt(self):
        plain = self.create(max_tokens=1).usage.prompt_tokens
        parts = self.create(max_tokens=1, messages=[{"role": "user", "content": [{"type": "text", "text": ask()[0]["content"]}]}])
        assert parts.usage.prompt_tokens == plain
        system = self.create(max_tokens=1, messages=[{"role": "system", "content": "Answer in one long word, please, every time."}] + ask())
        assert system.usage.prompt_tokens != plain
        none = self.create(max_tokens=1, tools=[WEATHER], tool_choice="none")
        assert none.usage.prompt_tokens == plain

    def step_10_an_async_client_asks_many_at_a_time(self):
        async def many():
            client = openai.AsyncOpenAI(base_url=self.daemon.url + "/v1", api_key="none", max_retries=0)
            answers = await asyncio.gather(*[client.chat.completions.create(
                model=MODEL, messages=ask(), temperature=0, max_tokens=24) for _ in range(8)])
            await client.close()
            return [answer.choices[0].message.content for answer in answers]
        assert asyncio.run(many()) == [self.answer] * 8

    def step_11_who_leaves_a_stream_is_not_waited_for(self):
        stream = self.create(stream=True, messages=ask("Tell a very long story."), temperature=1, max_tokens=400)
        next(iter(stream))
        stream.close()
        for _ in range(100):
            with urllib.request.urlopen(self.daemon.url + "/metrics") as answer:
                metrics = answer.read().decode()
            if "\nreflectd_generation_requests 0\n" in metrics:
                break
            time.sleep(0.1)
        assert 'kind="chat",result="cancelled"} 1' in metrics

    def step_12_errors(self):
        assert refused(openai.NotFoundError, lambda: self.create(model="nobody")).code == "model_not_found"
        error = refused(openai.BadRequestError, lambda: self.create(messages=ask("far too long " * 9000)))
        assert error.param == "messages", error
        assert refused(openai.BadRequestError, lambda: self.create(stop=list("abcde"))).param == "stop"
        error = refused(openai.BadRequestError, lambda: self.create(response_format={"type": "json_object"}))
        assert error.param == "response_format"
        assert refused(openai.BadRequestError, lambda: self.create(stream=True, messages=ask("too " * 40000))).param == "messages"

    def step_12_errors_name_the_place(self):
        error = refused(openai.BadRequestError, lambda: self.client.embeddings.create(model=ENCODER, input=["a", "too long " * 9000]))
        assert error.param == "input[1]" and error.message.count("input[1] has 18002 tokens, and there is room for 512"), error
        for message, param in (({"role": "user"}, "content"), ({"role": "assistant", "tool_calls": [1]}, "tool_calls[0]"),
                               ({"role": "assistant", "function_call": {}}, "function_call.name")):
            assert refused(openai.BadRequestError, lambda: self.create(messages=ask() + [message])).param == f"messages[1].{param}"
        assert refused(openai.BadRequestError, lambda: self.create(tools=[{"type": "function"}])).param == "tools[0].function"

    def step_13_a_fine_tuned_model_and_its_checkpoint_answer(self):
        lines = "".join(json.dumps({"messages": ask("Who are you?") + [{"role": "assistant", "content": "I am a teapot."}]}) + "\n"
                        for _ in range(8))
        file = self.client.files.create(file=("pot.jsonl", lines.encode()), purpose="fine-tune")
        file = self.client.files.wait_for_processing(file.id, poll_interval=0.1)
        job = self.client.fine_tuning.jobs.create(
            training_file=file.id, model=MODEL, seed=1, hyperparameters={"n_epochs": 12, "batch_size": 8},
            extra_body={"adapter": {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "v_proj"]},
                        "checkpointing": {"every_steps": 6}})
        deadline = time.monotonic() + 300
        while job.status not in ("succeeded", "failed", "cancelled") and time.monotonic() < deadline:
            time.sleep(0.3)
            job = self.client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", (job.status, job.error)
        tuned = self.create(model=job.fine_tuned_model, messages=ask("Who are you?"))
        base = self.create(messages=ask("Who are you?"))
        assert tuned.model == job.fine_tuned_model
        assert tuned.choices[0].message.content != base.choices[0].message.content, "the adapter is of use"
        checkpoint = self.client.fine_tuning.jobs.checkpoints.list(job.id).data[0].fine_tuned_model_checkpoint
        assert self.create(model=checkpoint, max_tokens=4).choices[0].message.content
        assert self.client.models.delete(job.fine_tuned_model).deleted
        assert refused(openai.NotFoundError, lambda: self.create(model=job.fine_tuned_model)).code == "model_not_found"

    def step_14_an_encoder_gives_vectors(self):
        answer = self.client.embeddings.create(model=ENCODER, input=["the sea", "the ocean", "a tax form"])
        vectors = [item.embedding for item in answer.data]
        again = self.client.embeddings.create(model=ENCODER, input="the sea", encoding_format="float").data[0].embedding
        assert len(again) == 384 and max(abs(a - b) for a, b in zip(again, vectors[0])) < 1e-6
        near, far = (sum(a * b for a, b in zip(vectors[0], vectors[i])) for i in (1, 2))
        assert near > far, (near, far)
        assert answer.usage.prompt_tokens > 0
        error = refused(openai.BadRequestError, lambda: self.client.embeddings.create(model=ENCODER, input="a", dimensions=7))
        assert error.param == "dimensions"
        assert refused(openai.BadRequestError, lambda: self.create(model=ENCODER)).type == "invalid_request_error"


def main():
    daemon = Daemon({MODEL: os.environ["SMOLLM2"], ENCODER: os.environ["MINILM"]}, "--serving-memory-mib", "256",
                    *sys.argv[1:])
    return run_beside(daemon, Chat, "chat")


if __name__ == "__main__":
    sys.exit(main())

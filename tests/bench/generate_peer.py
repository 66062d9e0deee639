"""The other side of tests/bench/generate: Transformers or llama.cpp, which answer what its standard input asks.

usage: generate_peer.py transformers|llama.cpp PATH THREADS

A line {"texts", "length"} gives {"ids"}: the first tokens of each text; {"prompts", "tokens"} gives {"seconds", "tokens"}:
the texts of so many tokens, greedily, of each prompt's ids."""

import json
import sys
import time


class Transformers:
    def __init__(self, path, threads):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        self.torch = torch
        torch.set_num_threads(threads)
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()

    def ids(self, text, length):
        return self.tokenizer(text).input_ids[:length]

    def answer(self, prompts, tokens):
        ids = self.torch.tensor(prompts)
        start = time.perf_counter()
        with self.torch.inference_mode():
            out = self.model.generate(ids, attention_mask=self.torch.ones_like(ids), do_sample=False, max_new_tokens=tokens,
                                      repetition_penalty=1.0, pad_token_id=0)
        seconds = time.perf_counter() - start
        return seconds, [[self.tokenizer.decode([token]) for token in row[ids.shape[1]:].tolist()] for row in out]


class LlamaCpp:
    def __init__(self, path, threads):
        from llama_cpp import Llama
        self.model = Llama(path, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)

    def ids(self, text, length):
        return self.model.tokenize(text.encode(), add_bos=False)[:length]

    def answer(self, prompts, tokens):
        prompt, = prompts
        self.model.reset()  # nothing of an earlier prompt is kept
        start, out = time.perf_counter(), []
        for token in self.model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
            out.append(token)
            if len(out) == tokens:
                break
        return time.perf_counter() - start, [[self.model.detokenize([token]).decode(errors="replace") for token in out]]


engine = {"transformers": Transformers, "llama.cpp": LlamaCpp}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
for line in sys.stdin:
    question = json.loads(line)
    if "texts" in question:
        reply = {"ids": [engine.ids(text, question["length"]) for text in question["texts"]]}
    else:
        seconds, tokens = engine.answer(question["prompts"], question["tokens"])
        reply = {"seconds": seconds, "tokens": tokens}
    print(json.dumps(reply), flush=True)

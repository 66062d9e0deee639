#!/usr/bin/env python3
"""Makes tests/worker/text/classes/: folders as models have them, with what AutoTokenizer makes of texts there: added
tokens in every file that may hold them, and classes that build their pipeline themselves.
Needs `pip install tokenizers transformers sentencepiece protobuf`:

    python3 tests/worker/text/make_class_cases.py
"""
import json
import os
import shutil

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "classes")
CORPUS = ["the quick brown fox jumps over the lazy dog", "What is 1 plus 2?", "hello world, how are you today?",
          "cats and dogs are animals", "I like green tea and black coffee"]
TEXTS = ["", "Hello World \u00dcn\u00ef caf\u00e9 \u65e5\u672c", "the Quick <x> brown</s> <y>x  <z>", "<x><y>12345 <s>", " <x> y"]


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True, **flags}


def bpe():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>", "<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.decoder = decoders.ByteLevel()
    return t


def clip():
    t = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(False)])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|startoftext|>", "<|endoftext|>"], show_progress=False, end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=90, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                     special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t


def folder(name, tokenizer, files, config=None, model="llama"):
    path = os.path.join(HERE, name)
    os.makedirs(path)
    document = json.loads(tokenizer.to_str())
    vocab = document["model"]["vocab"]
    config = dict(config or {})
    if config.pop("bare", False) and model == "bert":
        files = {**files, "vocab.txt": "".join(w + "\n" for w in sorted(vocab, key=vocab.get))}
    elif "merges.txt" in files:
        files = {**files, "vocab.json": vocab, "merges.txt": "#version: 0.2\n" + "".join(
            " ".join(m) + "\n" for m in document["model"]["merges"])}
    else:
        files = {**files, "tokenizer.json": document}
    files = {**files, "tokenizer_config.json": config, "config.json": {"model_type": model}}
    for file, content in files.items():
        with open(os.path.join(path, file), "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False,
                                                                        separators=(",", ":")) + "\n")
    auto = AutoTokenizer.from_pretrained(path)
    with open(os.path.join(path, "cases.jsonl"), "w", encoding="utf-8") as f:
        for text in TEXTS:
            f.write(json.dumps({"text": text, "ids": auto(text).input_ids}, separators=(",", ":"), ensure_ascii=False) + "\n")


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    b, w, fast = bpe(), wordpiece(), {"tokenizer_class": "PreTrainedTokenizerFast"}
    folder("decoder", b, {}, {**fast, "added_tokens_decoder": {
        "301": token("<y>", lstrip=True), "300": token("<x>", special=False), "1": token("<s>", rstrip=True)}})
    folder("added_json", b, {"added_tokens.json": {"<y>": 301, "<x>": 300}}, {**fast, "eos_token": "<y>"})
    folder("specials", b, {}, {**fast, "pad_token": token("<y>", __type="AddedToken"), "image_token": "<z>",
                               "additional_special_tokens": ["<x>"]})
    folder("map", b, {"special_tokens_map.json": {"eos_token": "<z>", "additional_special_tokens": ["<x>", "<y>"]}}, fast)
    folder("named", b, {}, {**fast, "extra_special_tokens": {"a_token": "<x>", "b_token": "<y>"}})
    folder("gpt2", b, {}, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "additional_special_tokens": ["<x>"]})
    folder("qwen2", b, {}, {"tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<x>"]}, "qwen2")
    folder("merges", b, {"merges.txt": ""}, {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "add_bos_token": True})
    c, clips = clip(), {"tokenizer_class": "CLIPTokenizer", "pad_token": "!"}
    folder("clip", c, {}, clips, "clip_text_model")
    folder("clip_merges", c, {"merges.txt": ""}, clips, "clip_text_model")
    folder("bert", w, {}, {"do_lower_case": False, "additional_special_tokens": ["<x>"]}, "bert")
    folder("bert_accents", w, {}, {"strip_accents": False, "tokenize_chinese_chars": False}, "bert")
    folder("bert_words", w, {}, {"bare": True}, "bert")
    folder("bert_fast", w, {}, {**fast, "do_lower_case": False}, "bert")


main()

#!/usr/bin/env python3
"""Makes tests/worker/text/tokenizers/: three tiny tokenizers with texts and the ids that the
`tokenizers` library gives them. Needs `pip install tokenizers` and a BERT folder with vocab.txt, whose
vocabulary is cut down to what the texts use:

    python3 tests/worker/text/make_tokenizer_cases.py MODEL_DIR
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

TEXTS = [
    "", " ", "\t\n", "a", "Hello, World!", "How do I locate my card?", "I'm still waiting on my card...",
    "unaffable unbelievable tokenization", "It cost $5.00 (or €4.50) -- that's 10% off", "snake_case and CamelCase",
    "[MASK] in the middle [MASK]", "[mask] is not special, [SEP] and [CLS] are", "[MASK][MASK]x[UNK]y[PAD]",
    "[[MASK]]", "[MAS [MASK", "café CAFÉ cafe\u0301 naïve Ångström", "İstanbul I\u0307 ı Straße ΣΑΣ σας", "Привет, мир!",
    "日本語 東京 中文mixed한국어", "한글 조선", "emoji 🙂👩‍👩‍👧 \U0001F3FD", "a\u200bb\u200cc\u00add", "\ufffdx\ufffdy",
    "\u0000nul\u0001\u0007\u007f\u009f", "tabs\tand\r\nnew\u2028lines\u0085here", "\u00a0no\u3000break\u2003space",
    "e\u0301\u0323 e\u0323\u0301", "\u0344\u0390\u1f82", "\u0323\u0301a", "q\u0307\u0323\u0345z", "ﬁ ligature ½ ²",
    "x" * 100, "x" * 101, "é" * 100, "é" * 101, "ab " * 50, "#hash ##ing ##", "a#b##c", "\U0001d400\U00020000\U0002f800",
    "\u0f71\u0f72\u0f74", "\u1734\u07fd\u0898\u1cf2", "\u166d\u2e43\u061d\U00011660x", "\ua7cb\u1c89\U00010d50",
    "\U00011938\u0890\u08e2b", "don't \"quote\" `back` ^caret~ |pipe|", "，。「」、！", "https://example.com/a?b=c&d=e#f",
    "mail@example.org", "1,234,567.89", "  leading and trailing  ", "<tag>New</tag> <TAG> word<tag>word", "NEW new New",
]


def build(vocab, normalizer, added):
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab.index("[CLS]")), ("[SEP]", vocab.index("[SEP]"))])
    t.add_special_tokens(SPECIALS)
    t.add_tokens(added)
    return t


def random_text(rng):
    pools = [(0x20, 0x7E), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x8FF), (0x900, 0xDFF), (0x2000, 0x206F),
             (0x3000, 0x30FF), (0x4E00, 0x4E40), (0xAC00, 0xAC40), (0x1F300, 0x1F6FF), (0, 0xD7FF), (0xE000, 0x10FFFF)]
    out = ""
    for _ in range(rng.randint(1, 8)):
        low, high = rng.choice(pools)
        out += rng.choice(["", " ", "the", "[SEP]", "ing"]) + "".join(chr(rng.randint(low, high)) for _ in range(2))
    return out


def main():
    rng = random.Random(20)
    words = [line.rstrip("\n") for line in open(os.path.join(sys.argv[1], "vocab.txt"), encoding="utf-8")]
    settings = {
        "uncased": (normalizers.BertNormalizer(), []),
        "cased": (normalizers.BertNormalizer(lowercase=False), []),
        "odd": (normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False),
                [AddedToken("<tag>", lstrip=True, rstrip=True, normalized=False), AddedToken("New", normalized=True)]),
    }
    texts = TEXTS + [random_text(rng) for _ in range(20)]
    full = {name: build(words, *how) for name, how in settings.items()}
    used = set(SPECIALS)
    for t in full.values():
        for text in texts:
            used.update(x for x in t.encode(text).tokens if x in words)
    vocab = [w for w in words if w in used]
    for name, how in settings.items():
        t = build(vocab, *how)
        cases = []
        for i, text in enumerate(texts):
            cases.append((text, None, 0))
            if i % 3 == 0:
                cases.append((text, rng.choice(texts), rng.choice([0, 3, 4, 7, 8, 13, 30])))
            if i % 12 == 0:
                cases.append((text, None, rng.choice([2, 3, 5])))
        lines = []
        for text, pair, limit in cases:
            t.no_truncation()
            whole = t.encode(text, pair)
            if limit:
                t.enable_truncation(limit)
            e = t.encode(text, pair)
            lines.append(json.dumps({"text": text, "pair": pair, "max_length": limit, "ids": e.ids, "types": e.type_ids,
                                     "truncated": len(e.ids) < len(whole.ids)}))
        t.no_truncation()
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        document = json.loads(t.to_str())
        with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
            json.dump(document, f)
            f.write("\n")
        with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        print(name, len(vocab), "words,", len(lines), "cases")


main()

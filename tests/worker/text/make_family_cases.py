#!/usr/bin/env python3
"""Makes tests/worker/text/families/: a tiny tokenizer of each family (tokenizer.json, a SentencePiece model or
a GGUF file), with texts and what the reference gives for them: ids, types, where each token of the plain text
ends, and the decoded text. Needs `pip install tokenizers transformers sentencepiece protobuf gguf`:

    python3 tests/worker/text/make_family_cases.py
"""
import json
import os
import random
import re
import shutil
import tempfile
import unicodedata

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DebertaV2Tokenizer
from transformers.convert_slow_tokenizer import import_protobuf

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "families")
CORPUS = """Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.
How many clips did Natalia sell altogether in April and May? She's sold 48+24 = 72 clips.
I'm still waiting on my card; it didn't arrive. We'll see what they've done, won't we?
Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting.
It cost $5.00 (or 10% off), that's naïve. Le café est à côté. Привет, мир! 日本語 東京 한국어
The quick brown fox jumps over the lazy dog. THE END of the story and the other stories.
def add(a, b):\n    return a + b\n\n# comment\n""".split("\n")
TEXTS = [
    "", " ", "  ", "\n", "a", "Hello, World!", "She's sold 48+24 = 72 clips.", "  two  spaces   three ", "I'LL we'Ve 'ſ don't",
    "\r\n\r\n  x\n\n\ty \n", "12345 1 22 333 ½² ٣Ⅷ①", "naïve café cafe\u0301 e\u0323\u0301 \u0344", "日本語 東京 한국어 ᄀ\u1161",
    "Привет, мир!", "emoji 🙂👩‍👩‍👧 \U0001F3FD🇩🇪", "ﬁ ½ Å ｶﾞ ﷺ", "a\u00a0b\u3000c\u2028d\u0085e\u200bf\ufeffg", "\u0000\u0001x\u007f",
    "▁under▁▁score ▁", "<0x0A><0xE2> Ġ </w> ##", "<s>one</s> two<s> three", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>",
    "<|begin_of_text|>x<|eot_id|>", "<tool>x <tool> x<tool>", "a <sp> b<sp>c  <sp>  d", "<user>x<user>", "[CLS] x [MASK]y[SEP]",
    "<|endoftext|> x <|ENDOFTEXT|>", "<extra_id_0> x </s>", "İstanbul ß ΣΑΣ ǅ", "\U00010d40\U000116d0 \ua7cb\u1c89", "-----====>>>> ___",
    "don't 'quote' \"x\"", "def add(a, b):\n    return a + b", "The END of the story", "x" * 20, " " * 20 + "y", "\u0001 x", "x \t",
]
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"""
          r"""\s*[\r\n]+|\s+(?!\S)|\s+""")
QWEN2 = LLAMA3.replace("{1,3}", "")
CLIP = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
CASED = (r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+@|"""
         r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*@|"""
         r"""\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
O200K = CASED.replace("@", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?")
TEKKEN = CASED.replace("@", "").replace("{1,3}", "")
DEEPSEEK3 = [r"""\p{N}{1,3}""", "[一-龥぀-ゟ゠-ヿ]+",
             r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
             r""" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]
DEEPSEEK_CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"]
QWEN35 = QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
BLOOM = [r" ?[^(\s|[.,!?…。，、।۔،])]+"]
BAILING = [r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"""
           r"""\s+(?!\S)|\s+"""]
ByteLevel, Split, Metaspace = pre_tokenizers.ByteLevel, pre_tokenizers.Split, pre_tokenizers.Metaspace


def byte_level(pre, specials, merges=40, suffix=None, **model):
    options = {"end_of_word_suffix": suffix} if suffix else {}
    t = Tokenizer(models.BPE(**options))
    t.normalizer = model.pop("normalizer", None)
    t.pre_tokenizer = pre
    size = 256 * (2 if suffix else 1) + len(specials) + merges
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False,
                                                      initial_alphabet=ByteLevel.alphabet(), **options))
    document = json.loads(t.to_str())
    document["model"].update(model)
    t = Tokenizer.from_str(json.dumps(document))
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def template(single, pair, *tokens):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(tokens))


def byte_level_families():
    yield "gpt2", byte_level(ByteLevel(add_prefix_space=False), ["<|endoftext|>"], unk_token="<|endoftext|>")
    t = byte_level(ByteLevel(), ["<s>", "<pad>", "</s>", AddedToken("<mask>", lstrip=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    yield "roberta", t
    t = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), ByteLevel(add_prefix_space=False)]),
                   ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<tool>", single_word=True, normalized=True), AddedToken("<sp>", lstrip=True, rstrip=True)])
    yield "smollm", t
    t = byte_level(pre_tokenizers.Sequence([Split(Regex(LLAMA3), "isolated"), ByteLevel(False, use_regex=False)]),
                   ["<|begin_of_text|>", "<|eot_id|>"], ignore_merges=True)
    document = json.loads(t.to_str())  # fewer merges than tokens: only ignore_merges finds some
    document["model"]["merges"] = [m for i, m in enumerate(document["model"]["merges"]) if i % 5]
    t = Tokenizer.from_str(json.dumps(document))
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template(
        "<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", ("<|begin_of_text|>", 0))])
    yield "llama3", t
    yield "qwen2", byte_level(
        pre_tokenizers.Sequence([Split(Regex(QWEN2), "isolated"), ByteLevel(False, use_regex=False)]),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFC())
    t = byte_level(pre_tokenizers.Sequence([Split(Regex(CLIP), "removed", invert=True), ByteLevel(False)]),
                   ["<|startoftext|>", "<|endoftext|>"], suffix="</w>", unk_token="<|endoftext|>",
                   normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                                    normalizers.Lowercase()]))
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False)
    yield "clip", t


def expression_families():
    """Those that split by expressions of their own: each as tokenizer.json and, where GGUF has a name, so."""
    for name, pre, splits, model in [
            ("tekken", "tekken", [TEKKEN], {"ignore_merges": True}), ("o200k", "gpt-4o", [O200K], {}),
            ("deepseek3", "deepseek-v3", DEEPSEEK3, {}), ("deepseek_coder", "deepseek-coder", DEEPSEEK_CODER, {}),
            ("qwen35", "qwen35", [QWEN35], {"normalizer": normalizers.NFC()}), ("bloom", "bloom", BLOOM, {}),
            ("bailing", "bailingmoe", BAILING, {}), ("superbpe", "superbpe", [r"\p{N}+", r"(?=(\d{3})+(?!\d))"], {})]:
        cuts = [Split(Regex(split), "isolated") for split in splits] + [ByteLevel(False, use_regex=False)]
        yield name, pre, byte_level(pre_tokenizers.Sequence(cuts), ["<s>", "<|im_start|>"], **model)
    falcon = [pre_tokenizers.Punctuation("contiguous"), ByteLevel(False), pre_tokenizers.Digits(False),
              Split(Regex("[0-9][0-9][0-9]"), "isolated")]
    yield "falcon", None, byte_level(pre_tokenizers.Sequence(falcon), ["<|endoftext|>"])


def train_spm(folder, name, **options):
    text = os.path.join(folder, "corpus.txt")
    with open(text, "w", encoding="utf-8") as f:
        f.write("\n".join(CORPUS))
    sentencepiece.SentencePieceTrainer.train(input=text, model_prefix=os.path.join(folder, name), minloglevel=2,
                                             hard_vocab_limit=False, num_threads=1, **options)
    path = os.path.join(folder, name + ".model")
    proto = import_protobuf().ModelProto()
    with open(path, "rb") as f:
        proto.ParseFromString(f.read())
    return path, proto


def deberta_tokenizer(path, t):
    """The tokenizer of Transformers with the table of characters that it leaves out; its ids are those of sentencepiece."""
    model = sentencepiece.SentencePieceProcessor(model_file=path)
    proto = import_protobuf().ModelProto()
    with open(path, "rb") as f:
        proto.ParseFromString(f.read())
    t.normalizer = normalizers.Sequence([
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(r"\A +| +\z"), ""),
        normalizers.Replace(Regex(" {2,}"), " ")])
    for text in TEXTS:
        # This model's table leaves U+2581 as it is, which sentencepiece then takes for a space of its own making.
        if not re.search(r"\[(PAD|UNK|CLS|SEP|MASK)\]|\u2581", text):
            assert t.encode(text, add_special_tokens=False).ids == model.encode(text), text
    return t


def merges_of(proto):
    ids = {p.piece: i for i, p in enumerate(proto.pieces)}
    found = [(p.score, p.piece[:i], p.piece[i:]) for p in proto.pieces if p.type == 1 for i in range(1, len(p.piece))
             if p.piece[:i] in ids and p.piece[i:] in ids]
    found.sort(key=lambda m: (-m[0], ids[m[1]]))
    return ids, [(a, b) for _, a, b in found]


def fallback_families(proto):
    vocab, merges = merges_of(proto)
    tail = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    strip = [decoders.Strip(" ", 1, 0)]
    legacy = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    for name, normalizer, pre, decoder in [
            ("llama2", legacy, None, tail + strip),
            ("llama2_metaspace", None, Metaspace(prepend_scheme="first", split=False), tail + strip),
            ("gemma", normalizers.Replace(" ", "▁"), Split(" ", "merged_with_previous"), tail)]:
        t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        if normalizer:
            t.normalizer = normalizer
        if pre:
            t.pre_tokenizer = pre
        t.decoder = decoders.Sequence(decoder)
        t.add_special_tokens([AddedToken(x, normalized=False) for x in ("<unk>", "<s>", "</s>")])
        t.add_tokens([AddedToken("<user>", normalized=False)])
        t.post_processor = template("<s> $A", "<s> $A <s>:1 $B:1", ("<s>", 1))
        yield name, t


def t5_tokenizer(proto):
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 2, False))
    t.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), Metaspace(prepend_scheme="always")])
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    t.add_special_tokens(["<pad>", "</s>", "<unk>"])
    t.post_processor = template("$A </s>", "$A </s> $B </s>", ("</s>", 1))
    return t


def odd_tokenizer(proto):
    """Components that the families above leave out."""
    vocab, merges = merges_of(proto)
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=False))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"),
                                               pre_tokenizers.Digits(False)])
    t.decoder = decoders.BPEDecoder("s")
    t.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    return t


def write_gguf(path, model, tokens, types, scores=None, merges=None, charsmap=None, **keys):
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    if "pre" in keys:
        w.add_tokenizer_pre(keys.pop("pre"))
    w.add_token_list(tokens)
    w.add_token_types(types)
    if scores:
        w.add_token_scores(scores)
    if merges:
        w.add_token_merges(merges)
    if charsmap:
        w.add_precompiled_charsmap(charsmap)
    for key, value in keys.items():
        getattr(w, "add_" + key)(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_cases(folder, t, marks=True):
    """marks: whether t's ends are right beside marks, which the table joins with their character, and what it drops."""
    rng = random.Random(4)
    document = json.loads(t.to_str())

    def untrimmed(post):
        if post and "trim_offsets" in post:
            post["trim_offsets"] = False
        for inner in (post or {}).get("processors", []):
            untrimmed(inner)
    untrimmed(document["post_processor"])
    t = Tokenizer.from_str(json.dumps(document))
    with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as f:
        for i, text in enumerate(TEXTS):
            pair = rng.choice(TEXTS) if i % 8 == 3 else None
            e, plain = t.encode(text, pair), t.encode(text, add_special_tokens=False)
            at = [0]
            for c in text:
                at.append(at[-1] + len(c.encode()))
            case = {"text": text, "ids": e.ids, "ends": [at[o[1]] for o in plain.offsets]}
            if not marks and any(unicodedata.category(c) in ("Mn", "Cc") for c in text):
                del case["ends"]
            decoded, skipped = t.decode(e.ids, skip_special_tokens=False), t.decode(e.ids)
            if pair is not None:
                case["pair"] = pair
            if any(e.type_ids):
                case["types"] = e.type_ids
            if decoded != text:  # else left out
                case["decoded"] = decoded
            if skipped != text:
                case["skipped"] = skipped
            f.write(json.dumps(case, separators=(",", ":"), ensure_ascii=False) + "\n")


def folder_of(name):
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    return folder


def save(name, t):
    folder = folder_of(name)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(json.loads(t.to_str()), f, separators=(",", ":"), ensure_ascii=False)
        f.write("\n")
    write_cases(folder, t)


def tokens_of(t, model):
    tokens = [t.id_to_token(i) for i in range(t.get_vocab_size())]
    document = json.loads(t.to_str())
    types = [1] * len(tokens)
    for added in document["added_tokens"]:
        types[added["id"]] = 3 if added["special"] else 4
    merges = [" ".join(m) if isinstance(m, list) else m for m in document["model"].get("merges", [])]
    return dict(model=model, tokens=tokens, types=types, merges=merges)


def save_gguf(name, t, **keys):
    """`t` is None when the cases are those of another family."""
    folder = folder_of(name)
    write_gguf(os.path.join(folder, "model.gguf"), **keys)
    if t:
        write_cases(folder, t)


def bert_gguf():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "end", "of", "##s", "story", "a", "##bc", "x", "##x", ",",
             "'", "cafe", "don", "t", "she", "日", "b", "c", "[", "]"]
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(words[:5])
    t.post_processor = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", 2), ("[SEP]", 3))
    phantom = [w if w[0] == "[" and w[-1] == "]" and len(w) > 1 else w[2:] if w.startswith("##") else "\u2581" + w
               for w in words]
    save_gguf("bert_gguf", t, model="bert", tokens=phantom, types=[3] * 5 + [1] * (len(words) - 5), unk_token_id=1,
              bos_token_id=2, sep_token_id=3, pad_token_id=0, mask_token_id=4)


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    for name, t in byte_level_families():
        save(name, t)
    for name, pre, t in expression_families():
        save(name, t)
        if pre:
            save_gguf(name, None, pre=pre, add_bos_token=False, **tokens_of(t, "gpt2"))
    with tempfile.TemporaryDirectory() as temp:
        rules = os.path.join(temp, "rules.tsv")
        with open(rules, "w", encoding="utf-8") as f:  # "fi" ligature, 1/2, full-width A, CR LF, dropped controls
            f.write("FB01\t66 69\nBD\t31 2044 32\nFF21\t41\nD A\t20\nD\t20\n9\t20\n1\t\n7F\t\n200B\t20\n3000\t20\n"
                    "65 301\tE9\n")
        _, bpe = train_spm(temp, "bpe", model_type="bpe", vocab_size=360, byte_fallback=True,
                           normalization_rule_name="identity", remove_extra_whitespaces=False,
                           user_defined_symbols=["<user>"])
        for name, t in fallback_families(bpe):
            save(name, t)
            save("odd", odd_tokenizer(bpe))
        _, unigram = train_spm(temp, "unigram", model_type="unigram", vocab_size=160, pad_id=0, eos_id=1, unk_id=2,
                               bos_id=-1, normalization_rule_tsv=rules)
        save("t5", t5_tokenizer(unigram))
        path, _ = train_spm(temp, "deberta", model_type="unigram", vocab_size=160, pad_id=0, bos_id=1, eos_id=2, unk_id=3,
                            pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
                            normalization_rule_tsv=rules)
        folder = folder_of("deberta_spm")
        shutil.copy(path, os.path.join(folder, "spm.model"))
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
            f.write('{"model_type": "deberta-v2"}\n')
        write_cases(folder, deberta_tokenizer(path, DebertaV2Tokenizer.from_pretrained(folder)._tokenizer),
                    marks=False)
    t = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), ByteLevel(add_prefix_space=False)]),
                   ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    save_gguf("smollm_gguf", t, pre="smollm", bos_token_id=1, eos_token_id=2, **tokens_of(t, "gpt2"))
    save_gguf("llama_gguf", None, model="llama", tokens=[p.piece for p in bpe.pieces],
              types=[p.type for p in bpe.pieces], scores=[p.score for p in bpe.pieces], bos_token_id=1, eos_token_id=2,
              unk_token_id=0)
    save_gguf("t5_gguf", None, model="t5", tokens=[p.piece for p in unigram.pieces],
              types=[p.type for p in unigram.pieces], scores=[p.score for p in unigram.pieces], eos_token_id=1,
              unk_token_id=2, add_eos_token=True, charsmap=unigram.normalizer_spec.precompiled_charsmap)
    bert_gguf()


main()

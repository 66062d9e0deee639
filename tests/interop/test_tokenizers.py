"""Proves that each kind of encoder's tokenizer gives the ids that Transformers' AutoTokenizer gives, and a spm.model those of
sentencepiece itself: of lines of text, of pairs, and of strings made to be hard. The tokenizers are trained here, in the configuration of the published ones. TAP lines.

    test_tokenizers.py [--lines N] [--hard N] [FILE...]      without files: this repository's texts
"""

import argparse
import glob
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
import tokenizers
import transformers as T
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import import_protobuf

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
NAMES = dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
             mask_token="<mask>")
BERT_NAMES = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
HARD = ["\u0301", "\u0323", "e\u0301", "\u00e9", "\u1e9e", "\u00df", "\u0130", "\u0131", "\u03a3", "\u03c2", "\ufb01", "\u00bd", "\uff21",
        "\uff76\uff9e", "\u212b", "\ufdfa", "\u1100\u1161", "\uac00", "\u65e5\u672c", "\u0e33", "\u0927\u094d", "\u200b", "\u200d", "\ufeff",
        "\u00ad", "\u00a0", "\u3000", "\u2028", "\u2029", "\u0085", "\u202e", "\ufffd", "\ufffe", "\x00", "\x01", "\x1b", "\x7f", "\x9f",
        "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", " ", "  ", "    ", "\u2581", "\u2581\u2581", "\u0120", "\u010a", "##", "##a", "</w>", "<s>",
        "</s>", "<pad>", "<mask>", "<unk>", " <mask> ", "[CLS]", "[SEP]", "[MASK]", " [MASK]", "[UNK]", "[PAD]", "[mask]", "<MASK>",
        "<0x0A>", "<s", "[MA", "\U0001f642", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001d400",
        "\U00010400", "\U000e0001", "'s", "'LL", "n't", "``", "''", "--", "...", "$", "^", "~", "|", "<", ">", "+", "=", "`", "\u2019",
        "\u201c", "\u2014", "\u00bf", "0", "12345", "\u0663", "\u2167", "\u2460", "1,234.5", "a", "A", "the", "The", "THE", "x" * 120, "q"]


def train(tokenizer, lines, trainer):
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def word_piece(lines, names=BERT, cls="[CLS]", sep="[SEP]", **options):
    t = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(**options), pre_tokenizers.BertPreTokenizer()
    train(t, lines, trainers.WordPieceTrainer(vocab_size=6000, special_tokens=names, show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1", special_tokens=[(x, t.token_to_id(x)) for x in (cls, sep)])
    t.decoder = decoders.WordPiece()
    return t


def byte_level(lines, names, prefix_space=False):
    t = tokenizers.Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space), decoders.ByteLevel()
    return train(t, lines, trainers.BpeTrainer(vocab_size=6000, special_tokens=names, show_progress=False,
                                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))


def roberta(lines, folder):
    mask = AddedToken("<mask>", lstrip=True)
    t = byte_level(lines, FAIRSEQ[:4] + [mask])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    T.PreTrainedTokenizerFast(tokenizer_object=t, **{**NAMES, "mask_token": mask}).save_pretrained(folder)


def modernbert(lines, folder):
    mask = AddedToken("[MASK]", lstrip=True)
    t = byte_level(lines, ["<|padding|>", "<|endoftext|>"])
    t.normalizer = normalizers.NFC()
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    t.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", mask])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    T.PreTrainedTokenizerFast(tokenizer_object=t, **{**BERT_NAMES, "mask_token": mask}).save_pretrained(folder)


def save_bert(tokenizer, folder, **more):
    T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **BERT_NAMES, **more).save_pretrained(folder)


def mpnet(lines, folder):
    names = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", AddedToken("<mask>", lstrip=True)]
    t = word_piece(lines, names, "<s>", "</s>")
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    T.PreTrainedTokenizerFast(tokenizer_object=t, **{**NAMES, "unk_token": "[UNK]"}).save_pretrained(folder)


def spm(lines, folder, name, **options):
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=os.path.join(folder, name), vocab_size=4000,
                                             hard_vocab_limit=False, num_threads=2, minloglevel=2, character_coverage=0.9995, **options)
    proto = import_protobuf().ModelProto()
    with open(os.path.join(folder, name + ".model"), "rb") as file:
        proto.ParseFromString(file.read())
    os.unlink(os.path.join(folder, name + ".vocab"))
    return proto


def unigram(proto, before, skip, unknown):
    """As the converters of Transformers write XLM-R's, CamemBERT's and ALBERT's tokenizer.json."""
    vocab = before + [(p.piece, p.score) for p in proto.pieces[skip:]]
    t = tokenizers.Tokenizer(models.Unigram(vocab, unknown, False))
    steps = [normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    t.normalizer = normalizers.Sequence(steps)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    return t


def fairseq_unigram(lines, folder):
    with tempfile.TemporaryDirectory() as temp:
        proto = spm(lines, temp, "m", model_type="unigram")
    t = unigram(proto, [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)], 3, 3)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    mask = AddedToken("<mask>", lstrip=True)
    t.add_special_tokens(FAIRSEQ[:4] + [mask])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    T.PreTrainedTokenizerFast(tokenizer_object=t, **{**NAMES, "mask_token": mask}).save_pretrained(folder)


def albert(lines, folder):
    with tempfile.TemporaryDirectory() as temp:
        proto = spm(lines, temp, "m", model_type="unigram", pad_id=0, unk_id=1, bos_id=2, eos_id=3, pad_piece="<pad>",
                    bos_piece="[CLS]", eos_piece="[SEP]", control_symbols=["[MASK]"])
    t = unigram(proto, [], 0, 1)
    t.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    mask = AddedToken("[MASK]", lstrip=True)
    t.add_special_tokens(["<pad>", "<unk>", "[CLS]", "[SEP]", mask])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    T.PreTrainedTokenizerFast(tokenizer_object=t, **{**BERT_NAMES, "pad_token": "<pad>", "unk_token": "<unk>",
                                                     "mask_token": mask}).save_pretrained(folder)


def deberta(lines, folder, json_too, **settings):
    spm(lines, folder, "spm", model_type="unigram", pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
        eos_piece="[SEP]", unk_piece="[UNK]")
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"tokenizer_class": "DebertaV2Tokenizer", "vocab_type": "spm", **settings}, file)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "deberta-v2"}, file)
    if json_too:
        tokenizer = T.AutoTokenizer.from_pretrained(folder)
        assert [tokenizer.convert_tokens_to_ids(x) for x in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")] == [0, 1, 2, 3]
        os.unlink(os.path.join(folder, "spm.model"))
        tokenizer.save_pretrained(folder)


class Transformers:
    def __init__(self, folder):
        self.tokenizer = T.AutoTokenizer.from_pretrained(folder)
        self.words = tokenizers.Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        if isinstance(self.words.pre_tokenizer, pre_tokenizers.ByteLevel):
            self.words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)

    def answers(self, case):
        """The two lines that the program prints of a case: ids, and where words begin or the types."""
        if "words" in case:
            theirs = self.words.encode(case["words"], is_pretokenized=True)
            return [theirs.ids, [-1 if w is None or (j and theirs.word_ids[j - 1] == w) else w for j, w in enumerate(theirs.word_ids)]]
        ids = self.tokenizer(case["text"], case.get("pair"))["input_ids"]
        return [ids, self.tokenizer.backend_tokenizer.encode(case["text"], case.get("pair")).type_ids]

    def ties(self, ours, theirs):
        return False


PUNCTUATION = "([" + "".join(re.escape(chr(c)) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)).startswith("P") or
                             33 <= c <= 47 or 58 <= c <= 64 or 91 <= c <= 96 or 123 <= c <= 126) + "])"


class SentencePiece:
    """What DeBERTa's published tokenizer does: sentencepiece encodes what is between special tokens."""

    def __init__(self, folder):
        self.model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "spm.model"))
        with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
            settings = json.load(file)
        self.lower, self.punctuation = settings["do_lower_case"], settings.get("split_by_punct")
        self.special = {name: self.model.piece_to_id(name) for name in BERT[:-1]}
        self.special["[MASK]"] = self.model.get_piece_size()

    def text(self, text):
        ids = []
        for part in re.split(r"(\[(?:PAD|UNK|CLS|SEP|MASK)\])", text):
            if part in self.special:
                ids.append(self.special[part])
                continue
            part = part.lower() if self.lower else part
            # Ours splits what is normalized: "..." that stands for an ellipsis is three marks. No published model splits.
            normal = self.model.normalize(part).replace("\u2581", " ") if self.punctuation else part
            for word in re.split(PUNCTUATION, normal) if self.punctuation else [part]:
                ids += self.model.encode(word)
        return ids

    def answers(self, case):
        cls, sep = [self.special["[CLS]"]], [self.special["[SEP]"]]
        if "words" in case:
            words = [self.text(word) for word in case["words"]]
            firsts = [i if not k else -1 for i, word in enumerate(words) for k in range(len(word))]
            return [cls + sum(words, []) + sep, [-1] + firsts + [-1]]
        first = cls + self.text(case["text"]) + sep
        second = self.text(case["pair"]) + sep if "pair" in case else []
        return [first + second, [0] * len(first) + [1] * len(second)]

    def ties(self, ours, theirs):
        """The same pieces in another order or number, as likely as theirs: sentencepiece adds float32 along the text, and its
        rounding decides between them (of long rows of one character)."""
        score = lambda ids: sum(self.model.get_score(i) for i in ids if i < self.model.get_piece_size())
        text = lambda ids: "".join(self.model.id_to_piece(i) for i in ids if i < self.model.get_piece_size())
        return text(ours[0]) == text(theirs[0]) and abs(score(ours[0]) - score(theirs[0])) < 1e-3


KINDS = {
    "deberta-v3 (spm.model)": lambda lines, folder: deberta(lines, folder, False, do_lower_case=False),
    "deberta-v3 (spm.model, punctuation)": lambda lines, folder: deberta(lines, folder, False, do_lower_case=False, split_by_punct=True),
    "deberta-v3 (spm.model, lower case)": lambda lines, folder: deberta(lines, folder, False, do_lower_case=True),
    "deberta-v3 (tokenizer.json)": lambda lines, folder: deberta(lines, folder, True),
    "roberta": roberta,
    "xlm-r, camembert": fairseq_unigram,
    "bert, electra, distilbert (uncased)": lambda lines, folder: save_bert(word_piece(lines), folder),
    "bert, distilbert (cased)": lambda lines, folder: save_bert(word_piece(lines, lowercase=False), folder),
    "albert": albert,
    "mpnet": mpnet,
    "modernbert": modernbert,
}


def read_lines(files, count):
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    files = files or sorted(glob.glob(os.path.join(here, "*.md")) + glob.glob(os.path.join(here, "worker/text/*.c")) +
                            glob.glob(os.path.join(here, "tests/worker/text/make*.py")))
    lines = []
    for path in files:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines += [line.rstrip("\n") for line in file if line.strip()]
    random.Random(1).shuffle(lines)
    return lines[:count]


def hard_texts(count, lines):
    rng = random.Random(2)
    for _ in range(count):
        parts = [rng.choice(HARD) for _ in range(rng.randrange(1, 12))]
        if rng.random() < 0.3:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(lines))
        if rng.random() < 0.2:
            parts.append(chr(rng.choice([rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x110000)])))
        yield rng.choice(["", " "]).join(parts)


def differences(folder, cases):
    reference = (SentencePiece if os.path.exists(os.path.join(folder, "spm.model")) else Transformers)(folder)
    program = os.path.join(os.environ.get("BUILD_DIR", "build"), "tests/interop/tokenize")
    run = subprocess.run([program, folder], input="".join(json.dumps(c) + "\n" for c in cases).encode(), capture_output=True)
    if run.returncode:
        raise RuntimeError(run.stderr.decode(errors="replace"))
    answers = [[int(x) for x in line.split()] for line in run.stdout.decode().split("\n")]
    found = []
    for i, case in enumerate(cases):
        theirs = reference.answers(case)
        ours = answers[2 * i:2 * i + 2]
        if ours != theirs and not reference.ties(ours, theirs):
            found.append((case, ours, theirs))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1500)
    parser.add_argument("--hard", type=int, default=500)
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    lines, failures = read_lines(args.files, args.lines), 0
    cases = [{"text": line} for line in lines]
    cases += [{"text": a, "pair": b} for a, b in zip(lines[::20], lines[1::20])]
    cases += [{"words": line.split()} for line in lines[::4]]
    hard = [{"text": text} for text in hard_texts(args.hard, lines)]
    cases += [{"words": [c["text"] for c in hard[i:i + 4] if c["text"]]} for i in range(0, len(hard), 4)]
    for number, (kind, make) in enumerate(KINDS.items(), 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                make(lines[:5000], folder)
                found = differences(folder, cases + hard)
            except Exception as fault:
                found = [(repr(fault), "", "")]
            failures += bool(found)
            print(f"{'not ok' if found else 'ok'} {number} - {kind}: {len(lines)} lines, {len(cases) - len(lines)} pairs and lists of words, "
                  f"{len(hard)} hard texts, {len(found)} differ")
            for case, ours, theirs in found[:6]:
                print(f"# {json.dumps(case)}\n#   ours   {ours}\n#   theirs {theirs}", flush=True)
    print(f"1..{len(KINDS)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

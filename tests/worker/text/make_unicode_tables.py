#!/usr/bin/env python3
"""Makes worker/text/unicode_tables.inc: where the `tokenizers` library disagrees with utf8proc.

The library mixes tables of several Unicode versions (categories of version 8, decompositions of
version 9, letter case of the newest). Every code point is put to it and to utf8proc; the differences
are written as ranges. Needs `pip install tokenizers` and libutf8proc.so.2:

    python3 tests/worker/text/make_unicode_tables.py > worker/text/unicode_tables.inc
"""
import ctypes

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

lib = ctypes.CDLL("libutf8proc.so.2")
lib.utf8proc_category_string.restype = ctypes.c_char_p
lib.utf8proc_unicode_version.restype = ctypes.c_char_p
DECOMPOSE, COMPAT = 1 << 4, 1 << 2


def bert(**on):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **on}).normalize_str


clean, strip, lower = bert(clean_text=True), bert(strip_accents=True), bert(lowercase=True)
nfd = normalizers.NFD().normalize_str
nfkd = normalizers.NFKD().normalize_str
accents = normalizers.StripAccents().normalize_str
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
digits = pre_tokenizers.Digits(True).pre_tokenize_str
words = pre_tokenizers.Whitespace().pre_tokenize_str
letters = pre_tokenizers.Split(Regex(r"\p{L}"), "removed").pre_tokenize_str
numbers = pre_tokenizers.Split(Regex(r"\p{N}"), "removed").pre_tokenize_str


def category(cp):
    return lib.utf8proc_category_string(cp).decode()


def decomposed(cp, how=DECOMPOSE):
    out = (ctypes.c_int32 * 32)()
    boundary = ctypes.c_int(0)
    n = lib.utf8proc_decompose_char(cp, out, 32, how, ctypes.byref(boundary))
    return "".join(chr(out[i]) for i in range(n))


def has_class(c):
    """Does the library move `c` among combining marks?"""
    return nfd("a" + c + "\u0334") != "a" + c + "\u0334" or nfd("a\u0345" + c) != "a\u0345" + c


def reorders(c):
    """Would it, by utf8proc's combining class? (NFD of whole strings by utf8proc.)"""
    def norm(s):
        lib.utf8proc_NFD.restype = ctypes.c_void_p
        return ctypes.string_at(lib.utf8proc_NFD(s.encode())).decode()
    return norm("a" + c + "\u0334") != "a" + c + "\u0334" or norm("a\u0345" + c) != "a\u0345" + c


tables = {name: [] for name in ("not_removed", "not_mark", "also_mark", "not_punctuation", "also_punctuation",
                                "not_decomposed", "not_combining", "not_compatible", "not_accent", "also_accent",
                                "also_letter", "also_number", "also_numeric", "also_word")}
lowers = []
for cp in range(1, 0x110000):
    if 0xD800 <= cp < 0xE000:
        continue
    c, cat = chr(cp), category(cp)
    ascii_punctuation = cp < 128 and c.isprintable() and not c.isalnum() and c != " "
    if cat in ("Cc", "Cf", "Co") and c not in "\t\n\r" and clean("a" + c) != "a":
        tables["not_removed"].append(cp)
    if decomposed(cp) == c and (cat == "Mn") != (strip("a" + c) == "a"):
        tables["not_mark" if cat == "Mn" else "also_mark"].append(cp)
    punctuation = len(split("a" + c + "b")) == 3
    if punctuation != (cat[0] == "P" or ascii_punctuation):
        tables["also_punctuation" if punctuation else "not_punctuation"].append(cp)
    if nfd(c) != decomposed(cp):
        assert nfd(c) == c, hex(cp)
        tables["not_decomposed"].append(cp)
    if cat[0] == "M" and decomposed(cp) == c and has_class(c) != reorders(c):
        assert not has_class(c), hex(cp)
        tables["not_combining"].append(cp)
    if nfkd(c) != decomposed(cp, DECOMPOSE | COMPAT):
        assert nfkd(c) == c, hex(cp)
        tables["not_compatible"].append(cp)
    if (accents("a" + c) == "a") != (cat[0] == "M"):
        tables["not_accent" if cat[0] == "M" else "also_accent"].append(cp)
    for name, here, there in (
            ("letter", not letters(c), cat[0] == "L"), ("number", not numbers(c), cat[0] == "N"),
            ("numeric", len(digits("a" + c)) == 2, cat[0] == "N"),
            ("word", [w for w, _ in words("a" + c)] == ["a" + c], cat[0] in "LM" or cat in ("Nd", "Nl", "Pc"))):
        assert here or not there, hex(cp)
        if here and not there:
            tables["also_" + name].append(cp)
    small = lower(c)
    if small != chr(lib.utf8proc_tolower(cp)) and cp != 0x130:  # the only one that becomes two
        assert len(small) == 1
        lowers.append((cp, ord(small)))


def ranges(points):
    out = []
    for cp in points:
        if out and out[-1][1] == cp - 1:
            out[-1][1] = cp
        else:
            out.append([cp, cp])
    return out


def show(items):
    line = " "
    for item in items:
        if len(line) + len(item) > 116:
            print(line)
            line = " "
        line += " " + item
    print(line)


print("/* Made by tests/worker/text/make_unicode_tables.py from tokenizers %s and utf8proc's Unicode %s. */"
      % (tokenizers.__version__, lib.utf8proc_unicode_version().decode()))
for name, points in tables.items():
    print("static const struct range %s[] = {" % name)
    show("{0x%X, 0x%X}," % tuple(r) for r in ranges(points))
    print("};")
print("static const struct {\n  uint32_t from, to;\n} also_lower[] = {")
show("{0x%X, 0x%X}," % pair for pair in lowers)
print("};")

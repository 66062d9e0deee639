#!/usr/bin/env python3
"""Makes worker/text/regex_classes.inc: what the `tokenizers` library's regular expressions mean by \\p{L}, \\s, \\w and
so on, in the syntax of a PCRE2 class. PCRE2's own class comes first, then the code points that only the library (whose
Unicode is another one) has; where PCRE2 has some that the library has not, all are listed. (\\p{Mn} would be such a list, of 5,000 bytes.)
Needs `pip install tokenizers` and libpcre2-8:

    python3 tests/worker/text/make_regex_tables.py
"""
import ctypes
import ctypes.util
import os

from tokenizers import Regex, pre_tokenizers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../worker/text/regex_classes.inc")
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = """L Lu Ll Lt Lm Lo M Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf Co""".split()
SCRIPTS = """Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul Hebrew
Hiragana Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Sinhala Tamil Telugu Thai Tibetan""".split()
PCRE = ctypes.CDLL(ctypes.util.find_library("pcre2-8"))
for function in ("compile", "match_data_create_from_pattern", "get_ovector_pointer"):
    getattr(PCRE, f"pcre2_{function}_8").restype = ctypes.c_void_p
UTF, UCP, NO_CHECK = 0x00080000, 0x00020000, 0x40000000
WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]"  # of it, a class has six digits less than \w by itself
CHUNKS = [POINTS[i:i + 65536] for i in range(0, len(POINTS), 65536)]


def library(expression):
    split = pre_tokenizers.Split(Regex(expression), "removed")
    found = set(POINTS)
    for chunk in CHUNKS:
        for _, (a, b) in split.pre_tokenize_str("".join(map(chr, chunk))):
            found.difference_update(chunk[a:b])
    return found


def pcre(expression):
    code, at = ctypes.c_int(), ctypes.c_size_t()
    pattern = f"(?:{expression})+".encode()
    compiled = ctypes.c_void_p(PCRE.pcre2_compile_8(pattern, ctypes.c_size_t(len(pattern)), UTF | UCP, ctypes.byref(code),
                                                    ctypes.byref(at), None))
    assert compiled, expression
    data = ctypes.c_void_p(PCRE.pcre2_match_data_create_from_pattern_8(compiled, None))
    ovector = ctypes.cast(PCRE.pcre2_get_ovector_pointer_8(data), ctypes.POINTER(ctypes.c_size_t))
    found = set()
    for chunk in CHUNKS:
        text, start = "".join(map(chr, chunk)).encode(), 0
        while PCRE.pcre2_match_8(compiled, text, ctypes.c_size_t(len(text)), ctypes.c_size_t(start), NO_CHECK, data,
                                 None) > 0:
            found.update(map(ord, text[ovector[0]:ovector[1]].decode()))
            start = ovector[1]
    return found


def ranges(points):
    runs = []
    for c in sorted(points):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return "".join(f"\\x{{{a:x}}}" + (f"-\\x{{{b:x}}}" if b > a else "") for a, b in runs)


def main():
    rows = [(n, rf"\p{{{n}}}", rf"\p{{{n}}}") for n in CATEGORIES] + [(n, rf"\p{{{n}}}", rf"\p{{sc:{n}}}") for n in SCRIPTS]
    rows += [("Alphabetic", r"\p{Alphabetic}", r"\p{Alphabetic}"), ("\\\\d", r"\d", r"\p{Nd}"), ("\\\\s", r"\s", r"\s"),
             ("\\\\w", r"\w", WORD), ("[\\\\w]", r"[\w\x01]", WORD), ("\\\\h", r"\h", r"[0-9a-fA-F]")]
    with open(OUT, "w", encoding="ascii") as f:
        f.write("/* Made by tests/worker/text/make_regex_tables.py. */\n"
                "static const struct class {\n  const char *name, *text;\n} classes[] = {\n")
        for name, ours, theirs in rows:
            want, have = library(ours) - {1}, pcre(theirs)
            ascii = ranges(c for c in want if c < 128) if len(want) > 128 else ""  # PCRE2 finds these in a bitmap
            text = ranges(want) if have - want else ascii + theirs.strip("[]") + ranges(want - have)
            text = text.replace("\\", "\\\\")
            f.write(f'    {{"{name}",')
            while text:
                cut = len(text) if len(text) <= 100 else text.rindex("\\\\", 0, 100)
                f.write(f'\n     "{text[:cut]}"')
                text = text[cut:]
            f.write("},\n")
        f.write("};\n")


main()

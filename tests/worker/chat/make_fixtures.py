#!/usr/bin/env python3
"""Renders every case with Transformers and writes what it gives to cases/*.jsonl here and in ../jinja.
   make_fixtures.py                   needs transformers 5 and jinja2 3.1
../jinja/cases/snippets.jsonl: a template of ../jinja/snippets.py, rendered with context.json. cases/rendered.jsonl: a
file with one of conversations.jsonl.
Then text and spans (of {% generation %}, in bytes), or refuses (the words of raise_exception), or fails (any other
error)."""
import glob
import json
import os
import sys

import jinja2
from transformers.utils import chat_template_utils as reference

HERE = os.path.dirname(os.path.abspath(__file__))
JINJA = os.path.join(HERE, "../jinja")
sys.path.insert(0, JINJA)
from snippets import CONTEXT, EXPRESSIONS, FAILURES, TEMPLATES  # noqa: E402


SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}


def render(template, specials, messages, tools, generate):
    """The case's result as the reference gives it."""
    try:
        compiled = reference._compile_jinja_template(template)
        chat = reference._alias_reasoning_fields(reference._plain_template_data(messages))
        text, indices = reference._render_with_assistant_indices(
            compiled, chat, tools, None, generate, **specials)
    except jinja2.exceptions.TemplateSyntaxError:
        return {"fails": True}
    except jinja2.exceptions.TemplateError as error:
        if type(error) is jinja2.exceptions.TemplateError:
            return {"refuses": str(error)}
        return {"fails": True}
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, SyntaxError):
        return {"fails": True}
    spans = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in indices if b > a]
    return {"text": text, "spans": spans}


def snippets():
    for expression in filter(None, EXPRESSIONS.strip().replace("\\\n", "\\@").split("\n")):
        yield "{{ " + expression.replace("\\@", "\\\n") + " }}"
    yield from TEMPLATES
    yield from FAILURES


def message(role, content, **more):
    return {"role": role, "content": content, **more}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city, \"now\" & <here>", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "Größe"},
                                         "days": {"type": "integer", "enum": [1, 2]}},
        "required": ["city"]}}}
CALL = {"type": "function", "id": "abcdefghi",
        "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}


def conversations():
    """(name, messages, tools, generate)"""
    u, a, s = (lambda c: message("user", c)), (lambda c: message("assistant", c)), (lambda c: message("system", c))
    yield "one turn", [u("Hi"), a("Hello!")], None, False
    yield "question", [u("Hi")], None, True
    yield "system", [s("Be kind."), u("Hi"), a("Hello!")], None, False
    yield "many turns", [s("Be kind."), u("1+1?"), a("2"), u("2+2?"), a("4"), u("3+3?"), a("6")], None, False
    yield "unicode", [u("Größe von 日本?"), a("Ünï 🎉 é ﷽")], None, False
    yield "white space", [u("  pad \n"), a("\n  answer \n\n"), u("\tx\t"), a(" y ")], None, True
    yield "markup", [u("<|im_end|>[INST]{{ x }}"), a("{% if %}</s>")], None, False
    yield "think", [u("q"), a("<think>\nhm\n</think>\n\nfirst"), u("r"), a("<think>\nso\n</think>\n\nsecond")], None, False
    yield "reasoning", [u("q"), message("assistant", "yes", reasoning_content="because")], None, False
    yield "wrong order", [a("I begin"), u("no")], None, False
    yield "two users", [u("a"), u("b"), a("c")], None, False
    yield "late system", [u("a"), s("now?"), a("c")], None, False
    yield "empty answer", [u("a"), a("")], None, True
    yield "no content", [u("a"), {"role": "assistant"}], None, False
    yield "tools", [s("Sys"), u("Weather?")], [WEATHER], True
    yield "tool call", [u("Weather in Köln?"), message("assistant", "", tool_calls=[CALL]),
                        message("tool", "{\"t\": 3}", name="get_weather", tool_call_id="abcdefghi"),
                        a("3 degrees.")], [WEATHER], False
    yield "nothing", [], None, True


def templates():
    """(path from the project's root, source)"""
    root = os.path.join(HERE, "../../..")
    for folder in ("tests/worker/chat/templates", "worker/chat/templates"):
        for path in sorted(glob.glob(os.path.join(root, folder, "*.jinja"))):
            with open(path, encoding="utf-8") as file:
                yield os.path.relpath(path, root), file.read()


def write(folder, name, rows):
    count = {}
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            kind = next((k for k in ("text", "refuses", "fails") if k in row), "input")
            count[kind] = count.get(kind, 0) + 1
    print(name, count)


def main():
    folder, jinja = os.path.join(HERE, "cases"), os.path.join(JINJA, "cases")
    chats = [dict(zip(("conversation", "messages", "tools", "generate"), chat)) for chat in conversations()]
    write(jinja, "context.json", [CONTEXT])
    write(folder, "conversations.jsonl", chats)
    write(jinja, "snippets.jsonl", ({"template": t, **render(t, CONTEXT, [], None, False)} for t in snippets()))
    write(folder, "rendered.jsonl", (
        {"file": path, "conversation": chat["conversation"],
         **render(source, SPECIALS, chat["messages"], chat["tools"], chat["generate"])}
        for path, source in templates() for chat in chats))


if __name__ == "__main__":
    main()

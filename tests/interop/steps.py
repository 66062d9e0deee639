"""Tests whose methods named step_* run in the order of their names: each is one result, a line of TAP."""

import contextlib
import io
import os
import re
import traceback


def run_steps(test, label, number=0, remark=""):
    """Runs all steps of `test`, the first as number + 1; (the last's number, how many failed)."""
    failed = 0
    for name in sorted(name for name in dir(test) if name.startswith("step_")):
        number += 1
        title = f"{number} - {label}: {name.split('_', 2)[2].replace('_', ' ')}{remark}"
        try:
            getattr(test, name)()
            print(f"ok {title}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {title}")
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    return number, failed


def run_each(daemon, tests):
    """All steps of each of `tests` (with its label) of `daemon`, which is stopped after them: the exit status. Where one failed,
    what the daemon said last."""
    number = failed = 0
    try:
        for test, label in tests:
            number, more = run_steps(test, label, number)
            failed += more
        print(f"1..{number}")
        if failed:
            print("".join("# " + line + "\n" for line in daemon.log().splitlines()[-40:]), end="")
    finally:
        status = daemon.stop()
    return 1 if failed or status else 0


def run_beside(daemon, test, label):
    """The same of one class of tests, made of the daemon."""
    return run_each(daemon, ((make(daemon), label) for make in [test]))


def run_card(adapter, base, placeholder):
    """Runs the Python of an adapter's README.md as it is, but for the two paths: (its names, what it prints)."""
    with open(os.path.join(adapter, "README.md"), encoding="utf-8") as card:
        (code,) = re.findall(r"```python\n(.*?)```", card.read(), re.S)
    for path, here in ((placeholder, base), ("path/to/this/folder", adapter)):
        assert f'"{path}"' in code, code
        code = code.replace(f'"{path}"', repr(here))
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return names, printed.getvalue()


def refused(kind, call):
    """The exception of `kind` that the call must raise."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")

#!/usr/bin/env python3
"""Checks that the errors which a page quotes are those that programs get: check_errors.py PROVOKE_ERRORS PAGE

PROVOKE_ERRORS prints the texts by name. The page has each in a ```text block behind a line `<!-- error: NAME -->`, broken
into lines as it likes.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from pages import blocks, finish  # noqa: E402

NAME = re.compile(r"<!-- error: ([\w-]+) -->")


def normal(text):
    return " ".join(text.split())


def check(provoked, page):
    quoted = {}
    for line, before, body in blocks(page, "text"):
        name = NAME.fullmatch(before)
        quoted[name[1] if name else f"line {line}"] = body
    faults = [f"{name}: is provoked, and not on the page: {text}" for name, text in provoked.items() if name not in quoted]
    for name, text in quoted.items():
        if name not in provoked:
            faults.append(f"{name}: is on the page, and not provoked")
        elif normal(text) != normal(provoked[name]):
            faults.append(f"{name}: the page has\n    {normal(text)}\nand programs get\n    {provoked[name]}")
    return faults


def main(program, page):
    run = subprocess.run([program], stdout=subprocess.PIPE, check=True, text=True)
    return finish(check(json.loads(run.stdout), Path(page).read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

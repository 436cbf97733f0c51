#!/usr/bin/env python3
"""Checks that all C++ that the pages show is compiled: check_snippets.py ROOT

An example marks a snippet with a line `// [name]` before and after it. Each ```cpp block of a page has to be a snippet, to
the letter but for its indentation, or stand behind a line `<!-- not compiled: why -->`. Each snippet has to be on a page.
"""

import re
import sys
import textwrap
from pathlib import Path

sys.dont_write_bytecode = True
from pages import blocks, finish, pages  # noqa: E402

SNIPPET = re.compile(r"^ *// \[(\w+)\]\n(.*?)^ *// \[\1\]$", re.MULTILINE | re.DOTALL)
EXEMPTION = re.compile(r"<!-- not compiled: \S.* -->")


def check(root):
    root = Path(root)
    snippets = {}
    for source in sorted((root / "examples").glob("*.cpp")):
        for name, body in SNIPPET.findall(source.read_text(encoding="utf-8")):
            snippets[textwrap.dedent(body)] = f"{source.relative_to(root)}: snippet [{name}]"
    faults, shown = [], set()
    for page in pages(root):
        for line, before, body in blocks(page.read_text(encoding="utf-8"), "cpp"):
            if body in snippets:
                shown.add(body)
            elif not EXEMPTION.fullmatch(before):
                faults.append(f"{page.relative_to(root)}:{line}: is no snippet of an example as it stands:\n{body}")
    faults += [f"{where} is on no page as it stands:\n{body}" for body, where in snippets.items() if body not in shown]
    return faults


if __name__ == "__main__":
    sys.exit(finish(check(sys.argv[1])))

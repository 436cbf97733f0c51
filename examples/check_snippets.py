#!/usr/bin/env python3
"""Checks that the C++ of the README that also stands in a source file is the same in both.

Usage: check_snippets.py README SOURCE...
A source marks a snippet with a line `// [name]` before and after it. Each must be a ```cpp block of the README.
"""
import re
import sys
from pathlib import Path


def snippets(text):
    return re.findall(r"^// \[(\w+)\]\n(.*?)^// \[\1\]$", text, re.MULTILINE | re.DOTALL)


def main(readme, *sources):
    blocks = re.findall(r"^```cpp\n(.*?)^```$", Path(readme).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    wrong = 0
    for source in sources:
        found = snippets(Path(source).read_text(encoding="utf-8"))
        if not found:
            wrong += 1
            print(f"{source}: no snippet is marked")
        for name, body in found:
            if body not in blocks:
                wrong += 1
                print(f"{source}: snippet [{name}] is not in {readme} as it stands; copy it there:\n{body}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

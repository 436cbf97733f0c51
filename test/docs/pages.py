"""The pages that the checks in this directory read: the README and the guide."""

import re
from pathlib import Path


def pages(root):
    root = Path(root)
    return [root / "README.md", *sorted((root / "examples/guide").glob("*.md"))]


def blocks(text, language):
    """The fenced blocks of `language`, each as (line number, the line before it, its text)."""
    found = []
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start()].splitlines()
        found.append((len(before) + 1, before[-1] if before else "", match[1]))
    return found


def finish(faults):
    """Prints what is wrong; gives the exit code."""
    for fault in faults:
        print(fault)
    return 1 if faults else 0

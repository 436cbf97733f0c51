#!/usr/bin/env python3
"""Checks that what the Markdown files link to is there: check_links.py ROOT

Files, and the headings that anchors name. Every page of the guide has to be linked from the README.
"""

import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from pages import finish, pages  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))
from doxygen_filter import FENCED, HEADLINE, LINK, slug  # noqa: E402


def outside_of_code(text):
    return re.sub(r"`[^`\n]*`", lambda code: code[0] if "](" not in code[0] else "", FENCED.sub("", text))


def anchors(path):
    return {slug(title) for _, title in HEADLINE.findall(FENCED.sub("", path.read_text(encoding="utf-8")))}


def check(root):
    root = Path(root).resolve()
    files = [path for path in root.rglob("*.md") if path.relative_to(root).parts[0] not in ("build", ".git")]
    faults, linked = [], set()
    for path in sorted(files):
        for _, _, target in LINK.findall(outside_of_code(path.read_text(encoding="utf-8"))):
            if "://" in target or target.startswith("mailto:"):
                continue
            file, _, anchor = target.partition("#")
            to = (path.parent / file).resolve() if file else path
            where = f"{path.relative_to(root)}: {target}"
            if not to.exists():
                faults.append(f"{where}: there is no such file")
            elif anchor and anchor not in anchors(to):
                faults.append(f"{where}: there is no such heading")
            if path == root / "README.md":
                linked.add(to)
    faults += [f"README.md: no link to {page.relative_to(root)}" for page in pages(root)[1:] if page not in linked]
    return faults


if __name__ == "__main__":
    sys.exit(finish(check(sys.argv[1])))

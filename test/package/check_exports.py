#!/usr/bin/env python3
"""Checks what pgstate's shared libraries export: check_exports.py LIBRARY_DIR INCLUDE_DIR

Everything that a library defines and shows is pgstate's own, and of a name that a public header declares; what the
compiler makes of others' templates and keeps as weak symbols is theirs. Each library's SONAME has the version of the
interface, major.minor. Prints what is wrong, and fails if something is.
"""

import re
import subprocess
import sys
from pathlib import Path


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def exported(library):
    """(kind, demangled name) of each symbol; in capitals, the kind is of a symbol that is not weak."""
    for line in run("nm", "-DC", "--defined-only", str(library)).splitlines():
        _, kind, name = line.split(" ", 2)
        yield kind, name


def subject(name):
    """The qualified name of what a symbol is of: without parameters, return type and "vtable for"."""
    name = re.sub(r"^(?:vtable|typeinfo|typeinfo name|VTT|guard variable|construction vtable|non-virtual thunk|"
                  r"virtual thunk) (?:for|to) ", "", name)
    name = re.sub(r"\[abi:\w+\]", "", name)
    flat, depth = "", 0
    for character in name.replace("(anonymous namespace)", "{anonymous}"):
        if character in "<":
            depth += 1
        elif character == ">":
            depth -= 1
        elif depth == 0:
            if character == "(":
                break
            flat += character
    return flat.split(" ")[-1] if "operator" not in flat else flat


def check(libraries, include):
    words = set()
    for header in include.rglob("*.hpp"):
        words |= set(re.findall(r"\w+", header.read_text(encoding="utf-8")))
    found = sorted(path for path in libraries.glob("libpgstate*.so"))
    if not found:
        yield f"{libraries} has no libpgstate*.so"
    for library in found:
        soname = re.search(r"SONAME\s+(\S+)", run("objdump", "-p", str(library)))
        if not soname or not re.fullmatch(re.escape(library.name) + r"\.\d+\.\d+", soname[1]):
            yield f"{library.name}: its SONAME is {soname[1] if soname else 'missing'}"
        own = 0
        for kind, name in exported(library):
            parts = subject(name).split("::")
            if parts[0] != "pgstate":
                if kind not in "VWu":
                    yield f"{library.name}: exports {name}"
                continue
            own += 1
            if any(re.sub(r"\W.*", "", part) not in words for part in parts if not part.startswith(("~", "operator"))):
                yield f"{library.name}: exports {name}, which no public header has"
        if own == 0:
            yield f"{library.name}: exports nothing"
        print(f"exports: {library.name}: {own} symbols of pgstate")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wrong = list(check(Path(sys.argv[1]), Path(sys.argv[2])))
    for each in wrong:
        print(f"exports: {each}")
    sys.exit(1 if wrong else 0)

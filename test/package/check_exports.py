#!/usr/bin/env python3
"""Checks what pgstate's shared libraries export: check_exports.py LIBRARY_DIR INCLUDE_DIR

Of pgstate's own, only what a public header declares with PGSTATE_API; of others, only what the compiler makes of their
templates and inline functions, which must be the same ones in a whole program. Each library's SONAME has the version of
the interface, major.minor. Prints what is wrong, and fails if something is.
"""

import re
import subprocess
import sys
from pathlib import Path

NOT_NAMES = r"^(?:vtable|typeinfo|typeinfo name|VTT|guard variable|construction vtable|(?:non-)?virtual thunk) (?:for|to) "
SHARED_KINDS = "VWu"  # weak and unique symbols, in nm's letters


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def api_names(include):
    """The names that are declared with PGSTATE_API: of classes, and of functions."""
    names = set()
    for header in include.rglob("*.hpp"):
        text = re.sub(r"//.*", "", header.read_text(encoding="utf-8"))
        names |= set(re.findall(r"\b(?:class|struct) PGSTATE_API (\w+)", text))
        names |= set(re.findall(r"(?<!class )(?<!struct )\bPGSTATE_API [^;({]*?(\w+)\(", text))
    return names


def exported(library):
    """(kind, demangled name) of each symbol."""
    for line in run("nm", "-DC", "--defined-only", str(library)).splitlines():
        _, kind, name = line.split(" ", 2)
        yield kind, re.sub(NOT_NAMES, "", name)


def check_library(library, api):
    soname = re.search(r"SONAME\s+(\S+)", run("objdump", "-p", str(library)))
    if not soname or not re.fullmatch(re.escape(library.name) + r"\.\d+\.\d+", soname[1]):
        yield f"{library.name}: its SONAME is {soname[1] if soname else 'missing'}"
    own = 0
    for kind, name in exported(library):
        if not re.match(r"pgstate::", name):
            if kind not in SHARED_KINDS:
                yield f"{library.name}: exports {name}"
            continue
        own += 1
        # a name of the namespace's, or a member of a class that shows no others
        if not api.intersection(re.match(r"pgstate::(?:detail::)?(\w+)(?:::(\w+))?", name).groups()):
            yield f"{library.name}: exports {name}, which no public header declares with PGSTATE_API"
    if own == 0:
        yield f"{library.name}: exports nothing"
    print(f"exports: {library.name}: {own} symbols of pgstate")


def check(libraries, include):
    found = sorted(libraries.glob("libpgstate*.so"))
    if not found:
        yield f"{libraries} has no libpgstate*.so"
    for library in found:
        yield from check_library(library, api_names(include))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wrong = list(check(*map(Path, sys.argv[1:])))
    for each in wrong:
        print(f"exports: {each}")
    sys.exit(1 if wrong else 0)

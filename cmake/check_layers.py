#!/usr/bin/env python3
"""Checks what pgstate's files include: check_layers.py ROOT

Layers look down only: postgres -> schema -> sql -> batch -> pool -> wire -> config. Beside them stand `codec`, which the
layers from `sql` up use; `memory`, which uses `codec` alone; and `compose`, which uses `codec` alone and is used by
`postgres`. Headers in include/pgstate and what lies directly in src/, in src/detail or in src/telemetry are open to every
part, and therefore look into none. The program in src/cli stands outside: it knows what every user knows. The other rules
are listed in `violation`. Prints file:line: rule for every violation, and fails if there is one.
"""

import re
import sys
from pathlib import Path, PurePosixPath

LAYERS = ["config", "wire", "pool", "batch", "sql", "schema", "postgres"]  # from the lowest
# The parts beside the layers, and who uses them.
BESIDE = {"codec": {"sql", "schema", "postgres", "memory", "compose"}, "memory": set(), "compose": {"postgres"}}
OPEN = "open"  # may be included by all
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
LIBPQ = re.compile(r"^(postgresql/)?(libpq-fe\.h|libpq-events\.h|postgres_ext\.h|pg_config.*\.h|libpq/.*|internal/.*)$")
PQXX = re.compile(r"^pqxx/")
# A public header may show pqxx if handing out a real connection or transaction is what it is for.
SHOWS_PQXX = re.compile(r"^include/pgstate/(detail/)?(connection_pool|transaction)[^/]*\.hpp$")
ADAPTED = re.compile(r"^(spdlog|prometheus|opentelemetry)/")
ADAPTERS = re.compile(r"^(include/pgstate|src)/adapters/")


def part_of(path):
    """The part of the project that a file belongs to: public, a layer, embedded, cli, adapters or open."""
    parts = PurePosixPath(path).parts
    if ADAPTERS.match(path):
        return "adapters"
    if parts[0] == "include":
        return "public"
    return parts[1] if len(parts) > 2 and parts[1] in [*LAYERS, *BESIDE, "embedded", "cli"] else OPEN


def resolve(root, source, name):
    """The project's file that an include names, or None if it is someone else's."""
    for base in (PurePosixPath(source).parent, PurePosixPath("include"), PurePosixPath("src")):
        candidate = root / base / name
        if candidate.is_file():
            inside = candidate.resolve()
            if inside.is_relative_to(root):
                return inside.relative_to(root).as_posix()
    return None


def violation(source, name, target):
    """The rule that `source` breaks by including `name` (the project's own file `target`, or None)."""
    part = part_of(source)
    if target is None:
        if LIBPQ.match(name) and part != "wire":
            return "only src/wire includes libpq"
        if PQXX.match(name) and part == "public" and not SHOWS_PQXX.match(source):
            return "a public header includes pqxx only in connection_pool*.hpp and transaction*.hpp"
        if ADAPTED.match(name) and part != "adapters":
            return "only an adapter includes what it adapts"
        return None

    used = part_of(target)
    if not target.startswith(("include/", "src/")):
        return "the library includes nothing outside include/ and src/"
    if part == used:
        if source == "include/pgstate/pgstate.hpp" and target == "include/pgstate/embedded_server.hpp":
            return "pgstate.hpp leaves embedded_server.hpp to those who want it"
        return None
    if part == "cli" and used != "public":
        return "src/cli includes only public headers and its own"
    if used == "cli":
        return "nothing in the library includes src/cli"
    if used == "adapters":
        return "nothing but an adapter includes an adapter"
    if source.startswith("include/") and target.startswith("src/"):
        return "a public header includes no private header"
    if used in ("public", OPEN):
        return None
    if used == "embedded":
        return "nothing in the library includes src/embedded"
    if part in ("embedded", "adapters"):
        return f"src/{part} includes no layer: src/{used} is private to the library"
    if part == OPEN:
        return f"what is open to every layer looks into none: src/{used}"
    if used in BESIDE:
        users = ", ".join(f"src/{user}" for user in sorted(BESIDE[used])) or "nothing"
        return None if part in BESIDE[used] else f"src/{used} is used by {users}, not by src/{part}"
    if part in BESIDE:
        return f"src/{part} stands beside the layers and includes none: src/{used}"
    if LAYERS.index(used) > LAYERS.index(part):
        return f"layers look down only: src/{part} is below src/{used} ({' -> '.join(reversed(LAYERS))})"
    return None


def check(root):
    """All violations, as (file, line, rule)."""
    root = Path(root).resolve()
    found = []
    for top in ("include", "src"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".hpp", ".cpp", ".h", ".ipp"):
                continue
            source = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                include = INCLUDE.match(line)
                if include:
                    name = include.group(2)
                    rule = violation(source, name, resolve(root, source, name))
                    if rule:
                        found.append((source, number, f'{rule} (includes "{name}")'))
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    violations = check(sys.argv[1])
    for source, number, rule in violations:
        print(f"{source}:{number}: {rule}")
    sys.exit(1 if violations else 0)

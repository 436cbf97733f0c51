#!/usr/bin/env python3
"""Feeds the layer check trees that it must accept or refuse: self_test.py CHECK_LAYERS_PY"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

# file, its include, and a part of the rule it breaks (None: allowed)
CASES = [
    ("src/postgres/a.cpp", '"batch/engine.hpp"', None),
    ("src/postgres/a.cpp", '"config/settings.hpp"', None),
    ("src/postgres/a.cpp", '"error_detail.hpp"', None),
    ("src/postgres/a.cpp", '"pgstate/error.hpp"', None),
    ("src/postgres/a.cpp", "<pqxx/connection>", None),
    ("src/postgres/deep/a.cpp", '"../sql.hpp"', None),
    ("src/telemetry/a.cpp", '"pgstate/error.hpp"', None),
    ("src/embedded/a.cpp", '"pgstate/embedded_server.hpp"', None),
    ("src/cli/a.cpp", '"pgstate/error.hpp"', None),
    ("src/cli/a.cpp", '"text.hpp"', None),
    ("src/cli/a.cpp", "<pqxx/connection>", None),
    ("src/wire/a.cpp", "<libpq-fe.h>", None),
    ("src/wire/a.cpp", '"postgres/gone.hpp"', None),  # no such file: the compiler's business
    ("include/pgstate/transaction.hpp", "<pqxx/transaction>", None),
    ("include/pgstate/detail/connection_pool_impl.hpp", "<pqxx/connection>", None),
    ("include/pgstate/adapters/spdlog.hpp", "<spdlog/logger.h>", None),
    ("src/sql/a.cpp", '"codec/codec.hpp"', None),
    ("src/memory/a.cpp", '"codec/codec.hpp"', None),
    ("src/compose/a.cpp", '"codec/codec.hpp"', None),
    ("src/postgres/a.cpp", '"compose/composed.hpp"', None),
    ("src/batch/a.cpp", '"codec/codec.hpp"', "src/codec is used by"),
    ("src/memory/a.cpp", '"batch/engine.hpp"', "stands beside"),
    ("src/memory/a.cpp", '"compose/composed.hpp"', "src/compose is used by"),
    ("src/codec/a.cpp", '"postgres/sql.hpp"', "stands beside"),
    ("src/compose/a.cpp", '"memory/table.hpp"', "src/memory is used by nothing"),
    ("src/wire/a.cpp", '"pool/lease.hpp"', "layers look down only"),
    ("src/config/a.cpp", '  "wire/connection.hpp"', "layers look down only"),
    ("src/batch/a.cpp", '"../postgres/sql.hpp"', "layers look down only"),
    ("src/batch/a.cpp", "<postgres/sql.hpp>", "layers look down only"),
    ("src/error_detail.cpp", '"wire/connection.hpp"', "looks into none"),
    ("src/telemetry/a.hpp", '"batch/engine.hpp"', "looks into none"),
    ("src/pool/a.cpp", "<libpq-fe.h>", "only src/wire"),
    ("src/pool/a.cpp", "<postgresql/libpq-fe.h>", "only src/wire"),
    ("include/pgstate/error.hpp", "<libpq-fe.h>", "only src/wire"),
    ("include/pgstate/error.hpp", "<pqxx/except>", "pqxx only in"),
    ("include/pgstate/error.hpp", '"postgres/sql.hpp"', "no private header"),
    ("include/pgstate/error.hpp", '"error_detail.hpp"', "no private header"),
    ("include/pgstate/error.hpp", '"pgstate/adapters/spdlog.hpp"', "includes an adapter"),
    ("include/pgstate/error.hpp", "<spdlog/logger.h>", "what it adapts"),
    ("include/pgstate/pgstate.hpp", '"pgstate/embedded_server.hpp"', "embedded_server.hpp"),
    ("src/postgres/a.cpp", '"embedded/server.hpp"', "src/embedded"),
    ("src/embedded/a.cpp", '"pool/lease.hpp"', "includes no layer"),
    ("src/cli/a.cpp", '"postgres/sql.hpp"', "src/cli includes only public headers"),
    ("src/cli/a.cpp", '"../error_detail.hpp"', "src/cli includes only public headers"),
    ("src/cli/a.cpp", '"pgstate/adapters/spdlog.hpp"', "src/cli includes only public headers"),
    ("src/cli/a.cpp", "<libpq-fe.h>", "only src/wire"),
    ("src/postgres/a.cpp", '"cli/text.hpp"', "nothing in the library includes src/cli"),
    ("include/pgstate/error.hpp", '"cli/text.hpp"', "nothing in the library includes src/cli"),
    ("src/postgres/a.cpp", '"../../test/support/x.hpp"', "nothing outside"),
]

# What the cases include.
HEADERS = [
    "include/pgstate/adapters/spdlog.hpp", "include/pgstate/embedded_server.hpp", "include/pgstate/error.hpp",
    "src/batch/engine.hpp", "src/cli/text.hpp", "src/codec/codec.hpp", "src/compose/composed.hpp", "src/memory/table.hpp", "src/config/settings.hpp", "src/embedded/server.hpp", "src/error_detail.hpp",
    "src/pool/lease.hpp", "src/postgres/sql.hpp", "src/wire/connection.hpp", "test/support/x.hpp",
]


def main(script):
    specification = importlib.util.spec_from_file_location("check_layers", script)
    check_layers = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(check_layers)

    failures = 0
    for source, include, expected in CASES:
        with tempfile.TemporaryDirectory() as root:
            for header in HEADERS:
                path = Path(root) / header
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("#pragma once\n")
            path = Path(root) / source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"// first line\n#include {include}\n")

            found = check_layers.check(root)
            right = not found if expected is None else (
                len(found) == 1 and found[0][:2] == (source, 2) and expected in found[0][2])
            if not right:
                failures += 1
                print(f"{source} including {include}: expected {expected or 'nothing'}, got {found}")

    # As CI runs it: a bad tree ends in a failure that names the place.
    with tempfile.TemporaryDirectory() as root:
        for name, text in [("src/wire/a.cpp", '\n#include "postgres/b.hpp"\n'), ("src/postgres/b.hpp", "")]:
            path = Path(root) / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
        run = subprocess.run([sys.executable, script, root], capture_output=True, text=True, check=False)
        if run.returncode != 1 or not run.stdout.startswith("src/wire/a.cpp:2: layers look down only"):
            failures += 1
            print(f"a bad tree: exit status {run.returncode}, output {run.stdout!r}{run.stderr!r}")

    print(f"{len(CASES) + 1 - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))

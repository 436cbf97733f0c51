#!/usr/bin/env python3
"""Tests of the program pgstate on a private server: run.py PGSTATE EMBEDDED_POSTGRES [test...]

With PGSTATE_CLI_STATES=100000 the exports and imports are that large; 5,000 states otherwise.
"""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

import support  # noqa: E402


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    support.PROGRAM = str(Path(sys.argv[1]).resolve())
    support.SERVER = support.Server(sys.argv[2])
    try:
        names = sys.argv[3:] or ["commands_test", "doctor_test", "histories_test", "transfer_test"]
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        done = unittest.TextTestRunner(verbosity=2).run(suite)
        return 0 if done.wasSuccessful() and done.testsRun > 0 else 1
    finally:
        support.SERVER.stop()


if __name__ == "__main__":
    sys.exit(main())

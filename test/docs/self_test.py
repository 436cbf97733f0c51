#!/usr/bin/env python3
"""The checks of the pages find what they are for."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import check_commands  # noqa: E402
import check_errors  # noqa: E402
import check_links  # noqa: E402
import check_snippets  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))
import doxygen_filter  # noqa: E402


class tree(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name).resolve()
        self.write("README.md", "# pgstate\n[page](examples/guide/page.md)\n")
        self.write("examples/guide/page.md", "# A page\n## What is *here*, then?\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class links(tree):
    def test_good_ones(self):
        self.write("README.md", "[a](examples/guide/page.md#what-is-here-then) [b](#own)\n# Own\n`x[i](y)`\n")
        self.assertEqual(check_links.check(self.root), [])

    def test_bad_ones(self):
        self.write("examples/guide/page.md", "[a](gone.md) [b](../../README.md#gone)\n")
        faults = check_links.check(self.root)
        self.assertEqual(len(faults), 2)
        self.assertIn("no such file", faults[0])
        self.assertIn("no such heading", faults[1])

    def test_a_page_that_nobody_links_to(self):
        self.write("examples/guide/other.md", "")
        self.assertEqual(check_links.check(self.root), ["README.md: no link to examples/guide/other.md"])


class snippets(tree):
    EXAMPLE = "void f() {\n    // [call]\n    g();\n    // [call]\n}\n"

    def test_a_snippet_is_found_whatever_its_indentation(self):
        self.write("examples/a.cpp", self.EXAMPLE)
        self.write("examples/guide/page.md", "```cpp\ng();\n```\n")
        self.assertEqual(check_snippets.check(self.root), [])

    def test_code_of_nobody_and_a_snippet_on_no_page(self):
        self.write("examples/a.cpp", self.EXAMPLE)
        self.write("examples/guide/page.md", "```cpp\nh();\n```\n")
        self.assertEqual(len(check_snippets.check(self.root)), 2)

    def test_an_exemption_needs_a_reason(self):
        for line, faults in (("<!-- not compiled: needs a pooler -->", 0), ("<!-- not compiled: -->", 1)):
            self.write("examples/guide/page.md", f"{line}\n```cpp\nh();\n```\n")
            self.assertEqual(len(check_snippets.check(self.root)), faults)


class errors(unittest.TestCase):
    PAGE = "<!-- error: a -->\n```text\nsave: version 12\nis there\n```\n"

    def test_line_breaks_do_not_matter(self):
        self.assertEqual(check_errors.check({"a": "save: version 12 is there"}, self.PAGE), [])

    def test_another_text_a_missing_one_and_one_that_nobody_gets(self):
        self.assertEqual(len(check_errors.check({"a": "save: another"}, self.PAGE)), 1)
        self.assertEqual(len(check_errors.check({"b": "save"}, self.PAGE)), 2)


class commands(tree):
    def test_comments_and_continued_lines(self):
        self.assertEqual(check_commands.commands("a --b \\\n  c  # why\n# nothing\n\nd '#1'\n"), ["a --b c", "d '#1'"])

    def test_what_is_run_elsewhere_has_to_be_run_there(self):
        self.write("run.sh", "make check\n")
        places = {"make": ("run.sh", "make check"), "gone": ("run.sh", "gone"), "unused": None}
        faults = check_commands.elsewhere_faults(self.root, {"make", "gone"}, places)
        self.assertEqual(len(faults), 2)


class the_filter(unittest.TestCase):
    def test_headings_become_lists_and_lines_stay(self):
        text = "\n".join(["/// Loads.", "///", "/// Errors:     conflict - another", "///             was first",
                          "///             closed - it is", "int f();"])
        self.assertEqual(doxygen_filter.header(text).split("\n"), [
            "/// Loads.", "///", "/// - **Errors:** `conflict` - another", "///   was first", "///   <br>`closed` - it is",
            "int f();"])

    def test_links_between_pages(self):
        text = "# A\n## B c\n[x](b.md#d-e) [y](#b-c) [z](../../LICENSE)\n```\n[w](#v)\n```"
        self.assertEqual(doxygen_filter.markdown(text, "a.md", {"a.md", "b.md"}).split("\n"), [
            "# A {#a}", "## B c {#a-b-c}", "[x](#b-d-e) [y](#a-b-c) z", "```", "[w](#v)", "```"])


if __name__ == "__main__":
    unittest.main()

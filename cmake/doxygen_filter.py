#!/usr/bin/env python3
"""What Doxygen reads of a file: doxygen_filter.py FILE, as its INPUT_FILTER. Line numbers stay as they are.

Headers: the headings of comments ("Errors:", "Lifetime:", ...), which are laid out for those who read the header, become
lists. Comparisons, moves and ranges' members, about which there is nothing to say, get a comment.

Markdown: headings get the anchors that GitHub gives them, made unique by the page's name, and links follow them. A link
to a file that is no page here becomes its text.
"""

import re
import sys
from pathlib import Path

HEADINGS = ("Completion", "Errors", "Cancellation", "Executor", "Thread safety", "Order", "Lifetime", "Destructor", "Calls",
            "Exceptions", "Levels", "Cost", "Parents", "Time stamps", "Not recorded", "Given up", "Keys", "Text", "Numbers")
HEADING = re.compile(rf"^(\s*)/// ({'|'.join(HEADINGS)}):( +)(.*)$")
COMMENT = re.compile(r"^(\s*)///( *)(.*)$")
ERROR = re.compile(r"^((?:SQLSTATE )?\w+) - ")
ROW = re.compile(r"^(\w+) {2,}(\S.*)$")  # of a table of errors in a comment
COMPARISON = re.compile(r"^\s+friend .*operator(==|<=>)\(.*= default;$")
MOVE = re.compile(r"^\s+(\w+|\w+& operator=)\(\w+&&\)(?: noexcept)?(?: = default)?;$")
RANGE = re.compile(r"^    (auto|std::size_t|bool) (begin|end|size|empty)\(\) const noexcept \{.*\}$")
SPECIALIZATION = re.compile(r"^struct boost::system::is_error_code_enum<.*$")


def header(text):
    lines, heading_column, previous = [], None, ""
    for line in text.split("\n"):
        heading, comment = HEADING.match(line), COMMENT.match(line)
        if heading:
            indent, name, gap, rest = heading.groups()
            heading_column = len(name) + 2 + len(gap)
            rest = ERROR.sub(r"`\1` - ", rest) if name == "Errors" else rest
            rest = f"`{rest}`" if name == "Completion" and ", or " not in rest else rest
            out = f"{indent}/// - **%s:** {rest}" % name
        elif comment and heading_column and len(comment[2]) == heading_column:
            out = f"{comment[1]}///   " + ERROR.sub(r"<br>`\1` - ", comment[3])
        elif comment:
            if comment[2] in ("", " ") or not comment[3]:
                heading_column = None
            row = ROW.match(comment[3]) if comment[2] == "   " else None
            out = f"{comment[1]}/// - `{row[1]}`: {row[2]}" if row else line
        else:
            heading_column = None
            out = line
            if COMPARISON.match(line):
                out += " ///< Member by member."
            elif RANGE.match(line):
                out += " ///< Of the page as a range."
            elif MOVE.match(line) and not previous.lstrip().startswith("///"):
                out += " ///< What was moved from can be assigned to and destroyed."
            elif SPECIALIZATION.match(line):
                out = ""
            elif line == "template <>":  # only before such
                out = ""
        lines.append(out)
        previous = line
    return "\n".join(lines)


FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
HEADLINE = re.compile(r"^(#+) (.*)$", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def page_id(path):
    return Path(path).stem.lower().replace("_", "-")


def markdown(text, name, pages):
    page = page_id(name)

    def link(match):
        image, shown, target = match.groups()
        file, _, anchor = target.partition("#")
        if image or "://" in target:
            return match[0]
        if file and Path(file).name not in pages:
            return shown
        to = page_id(file) if file else page
        return f"[{shown}](#{to}{'-' + anchor if anchor else ''})"

    def heading(match):
        own = page if match[1] == "#" else f"{page}-{slug(match[2])}"
        return f"{match[0]} {{#{own}}}"

    parts = FENCED.split(text)
    for i in range(0, len(parts), 2):  # the others are fenced blocks
        parts[i] = LINK.sub(link, HEADLINE.sub(heading, parts[i]))
    return "".join(parts)


def main(name):
    text = Path(name).read_text(encoding="utf-8")
    if name.endswith(".md"):
        root = Path(__file__).resolve().parent.parent
        pages = {"README.md"} | {page.name for page in (root / "examples/guide").glob("*.md")}
        text = markdown(text, name, pages)
    else:
        text = header(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1])

"""The pages of the documentation, and the blocks of code and commands in them.

Every block is run by the tests, or the line before it says why not:

    <!-- not run: it takes an hour -->

and where a command is meant to fail, with which code: `<!-- exits with 1 -->`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").glob("*.md"))

COMMANDS = "commands"
# Languages of blocks that are run or read; `text` is what programs print, `{...}` is Sphinx's.
KNOWN = (COMMANDS, "python", "toml", "yaml")
SHOWN = ("text", "json", "mermaid")

_FENCE = re.compile(r"^( *)```(\S*).*?\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^|\n\n)((?:    .*\n(?:\n(?=    ))?)+)")
_SHELL = ("bash", "console", "sh", "shell")
_MARKER = re.compile(r"<!-- (?:not run: (.+?)|exits with (\d+)) -->")
_PROGRAMS = re.compile(
    r"^(\$ |penstock |git |make |cd |cp |mv |sed |echo |pip |uv |docker |kubectl |export |\. )"
)


@dataclass(frozen=True)
class Block:
    """A block of a page: its first line, its language, and what the marker before it says."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str = ""
    exit_code: int = 0

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> str:
        """The commands, without prompts; where there are prompts, the other lines are output."""
        lines = self.text.replace("\\\n", " ").splitlines()
        prompted = [line[2:] for line in lines if line.startswith("$ ")]
        return "\n".join(prompted or lines)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return sorted(_found(page, text), key=lambda block: block.line)


def _found(page: Path, text: str) -> Iterator[Block]:
    spans = []
    for match in _FENCE.finditer(text):
        spans.append(match.span())
        language = COMMANDS if match[2] in _SHELL else match[2]
        yield _block(page, text, match.start(), language, textwrap.dedent(match[3]))
    for match in _INDENTED.finditer(text):
        start = match.start(1)
        if any(begin <= start < end for begin, end in spans):
            continue
        content = textwrap.dedent(match[1])
        if _PROGRAMS.match(content):
            yield _block(page, text, start, COMMANDS, content)


def _block(page: Path, text: str, start: int, language: str, content: str) -> Block:
    before = text[:start].rstrip().rpartition("\n")[2].strip()
    marker = _MARKER.fullmatch(before)
    return Block(
        page=page,
        line=text.count("\n", 0, start) + 1,
        language=language,
        text=content,
        not_run=(marker[1] or "") if marker else "",
        exit_code=int(marker[2] or 0) if marker else 0,
    )

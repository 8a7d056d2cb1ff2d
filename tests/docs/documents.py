"""The README and the docs for the tests: their code blocks, headings, links and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DOCUMENTS", "TOP", "Block", "Document", "Step", "document"]

TOP = Path(__file__).resolve().parents[2]

_MARK = re.compile(r"<!-- ([a-z ]+): (.*?) ?-->")
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_RUNNABLE = {"console", "sh", "python"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command in a console block with its expected output.

    Attributes:
        command: One or more lines for the shell.
        expected: The output. "…" matches any text in a line; a line with only "…" matches any number of lines.
    """

    command: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block.

    Attributes:
        place: The document and the number of the first line.
        language: The language given after the fence.
        text: The text between the fences.
        marks: The comments directly above the block, ``<!-- name: value -->``.
    """

    place: str
    language: str
    text: str
    marks: dict[str, str]

    @property
    def is_run(self) -> bool:
        """Whether the tests run this block."""
        return self.language in _RUNNABLE and "not run" not in self.marks

    @property
    def steps(self) -> list[Step]:
        """The commands in a console block; a line that starts with "> " continues the command above it."""
        steps: list[tuple[list[str], list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                steps.append(([line[2:]], []))
            elif line.startswith("> ") and not steps[-1][1]:
                steps[-1][0].append(line[2:])
            else:
                steps[-1][1].append(line)
        return [Step(command="\n".join(command), expected="\n".join(output)) for command, output in steps]


@dataclass(slots=True)
class _Parts:
    blocks: list[Block] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """A Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """The path relative to the root of the source tree."""
        return self.path.relative_to(TOP).as_posix()

    @cached_property
    def _parts(self) -> _Parts:
        parts, marks = _Parts(), dict[str, str]()
        lines = iter(enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1))
        for number, line in lines:
            if line.startswith("```"):
                body = [inside for _, inside in takewhile(lambda entry: entry[1] != "```", lines)]
                place, text = f"{self.name}:{number}", "".join(f"{inside}\n" for inside in body)
                parts.blocks.append(Block(place=place, language=line[3:], text=text, marks=marks))
                marks = {}
                continue
            parts.prose.append(line)
            if mark := _MARK.fullmatch(line):
                marks[mark[1]] = mark[2]
            elif line:
                marks = {}
        return parts

    @property
    def blocks(self) -> list[Block]:
        """The code blocks."""
        return self._parts.blocks

    @property
    def prose(self) -> list[str]:
        """The lines outside code blocks."""
        return self._parts.prose

    @property
    def links(self) -> list[str]:
        """The targets of all links."""
        return _LINK.findall("\n".join(self.prose))

    @property
    def anchors(self) -> set[str]:
        """The anchors of all headings, as Git hosts generate them."""
        headings = (line.lstrip("#").strip() for line in self.prose if line.startswith("#"))
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def section(self, heading: str) -> str:
        """Return the text under a heading up to the next heading of the same or a higher level, with code blocks.

        Raises:
            KeyError: The document does not contain the heading.
        """
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            marks, _, words = line.partition(" ")
            if marks.strip("#") == "" and marks and words == heading:
                return "\n".join(_until(marks, lines[number + 1 :]))
        raise KeyError(heading)


def _until(marks: str, lines: list[str]) -> Iterator[str]:
    """Return the lines up to a heading of the level of ``marks`` or higher."""
    higher = tuple(f"{marks[:level]} " for level in range(1, len(marks) + 1))
    return takewhile(lambda text: not text.startswith(higher), lines)


def document(name: str) -> Document:
    """Return a document by its path relative to the root of the source tree."""
    return Document(TOP / name)


DOCUMENTS = [
    Document(path) for path in [TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").rglob("*.md"))]
]

"""README and docs as the tests see them: their code blocks, headings, links and tables."""

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
    """A command of a console block, and what it is said to print.

    Attributes:
        command: One or more lines for the shell.
        expected: The output; "…" stands for anything in a line, a line of nothing else for any lines.
    """

    command: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block.

    Attributes:
        place: The document, and the line it begins at.
        language: The word behind the fence.
        text: What is between the fences.
        marks: The comments right above it, ``<!-- name: value -->``.
    """

    place: str
    language: str
    text: str
    marks: dict[str, str]

    @property
    def is_run(self) -> bool:
        """Whether it is a thing to run, and nothing keeps it from being run."""
        return self.language in _RUNNABLE and "not run" not in self.marks

    @property
    def steps(self) -> list[Step]:
        """The commands of a console block; a line that begins with "> " goes on with the command above it."""
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
        """Its path from the top."""
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
        """Its code blocks."""
        return self._parts.blocks

    @property
    def prose(self) -> list[str]:
        """Its lines outside of code blocks."""
        return self._parts.prose

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return _LINK.findall("\n".join(self.prose))

    @property
    def anchors(self) -> set[str]:
        """What a link can name in it: its headings, as Git hosts spell them."""
        headings = (line.lstrip("#").strip() for line in self.prose if line.startswith("#"))
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def section(self, heading: str) -> str:
        """Give the text under a heading, up to the next one that is no lower, code blocks included.

        Raises:
            KeyError: There is no such heading.
        """
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            marks, _, words = line.partition(" ")
            if marks.strip("#") == "" and marks and words == heading:
                return "\n".join(_until(marks, lines[number + 1 :]))
        raise KeyError(heading)


def _until(marks: str, lines: list[str]) -> Iterator[str]:
    """The lines up to a heading of the level of ``marks`` or higher."""
    higher = tuple(f"{marks[:level]} " for level in range(1, len(marks) + 1))
    return takewhile(lambda text: not text.startswith(higher), lines)


def document(name: str) -> Document:
    """Give a document by its path from the top."""
    return Document(TOP / name)


DOCUMENTS = [
    Document(path) for path in [TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").rglob("*.md"))]
]

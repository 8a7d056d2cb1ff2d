"""``dataset show``: what is in a scientific file, and pictures of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orbitpkg.cli import layout, terminal
from orbitpkg.cli.options import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.cli.console import Console
    from orbitpkg.datasets.plotting import Picture
    from orbitpkg.datasets.showing import Node, Shown

__all__ = ["EXPORTS", "show"]

_LONGEST_VALUE = 60


@command(
    "show",
    "orbitpkg dataset show run-1.h5",
    "orbitpkg dataset show run-1.h5 --plot frames.png --array env/images",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--plot", metavar="OUT.png", type=click.Path(path_type=Path), help="Draw an array of it.")
@click.option("--array", metavar="NAME", help="The array to draw. Default: the largest one.")
def show(console: Console, file: Path, plot: Path | None, array: str | None) -> dict[str, object]:
    """Show what is in a scientific file.

    Groups, arrays and columns with shapes, types, sizes and attributes, of HDF5, netCDF, Parquet, safetensors and NumPy
    files. Only headers are read, and nothing is unpickled.
    """
    from orbitpkg.datasets.showing import describe

    shown = describe(file)
    if plot is None:
        console.data(_lines(shown))
        return _facts(shown)
    return _facts(shown) | {"picture": _plot(console, shown, plot, array)}


def _plot(console: Console, shown: Shown, target: Path, array: str | None) -> dict[str, object]:
    from orbitpkg.datasets.plotting import choose_array, plot_array

    name = choose_array(shown.root) if array is None else array
    picture = plot_array(shown.path, name, target)
    console.account(f"Drew {_named(picture)} as {_FORMS[picture.form]}", str(target))
    return {"path": str(target), "array": name, "part": picture.part, "form": str(picture.form)}


_FORMS = {
    "colour image": "an image in colours",
    "image": "an image",
    "lines": "lines",
    "line": "a line",
    "bars": "bars",
    "histogram": "a histogram",
}


def _named(picture: Picture) -> str:
    return f"{picture.name or 'the array'}{picture.part}"


def _lines(shown: Shown) -> Iterator[str]:
    yield f"{layout.printable(str(shown.path))}: {shown.format}, {layout.size(shown.bytes)}"
    yield from _below(shown.root, "", terminal.width(sys.stdout))


def _below(node: Node, indent: str, width: int | None) -> Iterator[str]:
    """Draw what is known of a node and what is in it."""
    bar = f"{indent}{'|' if node.children else ' '} "
    words = [*(node.details if node.kind == "group" else ()), *_attributes(node)]
    for line in words:
        yield layout.wrap(layout.printable(line), width, first=bar, rest=f"{bar}  ")
    for number, child in enumerate(node.children, start=1):
        last = number == len(node.children)
        inner = f"{indent}{'    ' if last else '|   '}"
        line = layout.printable(f"{child.name or 'the array'}{_told(child)}")
        yield layout.wrap(line, width, first=f"{indent}{'`-- ' if last else '|-- '}", rest=f"{inner}  ")
        yield from _below(child, inner, width)


def _attributes(node: Node) -> Iterator[str]:
    for name, value in node.attributes.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text = " ".join(text.split())
        short = text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
        yield f"@{name} = {short}"


def _told(node: Node) -> str:
    """Say in one line what a member of a group is."""
    if node.kind == "group":
        return "/"
    if node.kind == "link":
        return f"  link {' '.join(node.details)}"
    words = [_shape(node), node.type, "" if node.bytes is None else layout.size(node.bytes)]
    if node.stored is not None and node.stored != node.bytes:
        words.append(f"{layout.size(node.stored)} in the file")
    return f"  {', '.join(word for word in (*words, *node.details) if word)}"


def _shape(node: Node) -> str:
    if node.shape is None:
        return "no value" if node.kind == "array" else ""
    return " x ".join(map(str, node.shape)) or "one value"


def _facts(shown: Shown) -> dict[str, object]:
    return {"path": str(shown.path), "format": shown.format, "bytes": shown.bytes, "root": _node_facts(shown.root)}


def _node_facts(node: Node) -> dict[str, object]:
    return {
        "name": node.name,
        "kind": node.kind,
        "shape": None if node.shape is None else list(node.shape),
        "type": node.type,
        "bytes": node.bytes,
        "stored_bytes": node.stored,
        "details": list(node.details),
        "attributes": dict(node.attributes),
        "children": [_node_facts(child) for child in node.children],
    }


EXPORTS = {"show": show}

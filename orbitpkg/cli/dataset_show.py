"""The command ``dataset show``, which prints or plots the contents of a scientific file or a dataset."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orbitpkg.cli import layout, terminal
from orbitpkg.cli.options import at_option, command
from orbitpkg.errors import UsageError
from orbitpkg.escaping import one_line
from orbitpkg.model.jsontext import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.cli.console import Console
    from orbitpkg.datasets.dataset import Dataset
    from orbitpkg.datasets.plotting import Picture
    from orbitpkg.datasets.showing import Node, Shown

__all__ = ["EXPORTS", "show"]

_MAX_VALUE = 60
_FORMS = {
    "colour image": "a colour image",
    "image": "an image",
    "lines": "lines",
    "line": "a line",
    "bars": "bars",
    "histogram": "a histogram",
}


@command(
    "show",
    "orbitpkg dataset show run-1.h5",
    "orbitpkg dataset show run-1.h5 --plot frames.png --array env/images",
    "orbitpkg dataset show recordings run-1.h5",
    "orbitpkg dataset show recordings --by robot --plot growth.png",
)
@click.argument("place", metavar="FILE|ID")
@click.argument("name", metavar="[FILE]", required=False)
@click.option("--plot", metavar="OUT.png", type=click.Path(path_type=Path), help="Write a plot to this file.")
@click.option("--array", metavar="NAME", help="The array of a file to plot. Default: the largest one.")
@click.option("--by", metavar="COLUMN", help="Group the files of a dataset by a tag or another column.")
@click.option("--where", "condition", metavar="FILTER", help="Count only the files of a dataset that match.")
@at_option(verb="read from")
def show(
    console: Console,
    place: str,
    name: str | None,
    *,
    plot: Path | None,
    array: str | None,
    by: str | None,
    condition: str | None,
    repository: str | None,
) -> dict[str, object]:
    """Show the contents of a scientific file or a dataset.

    For a file, local or in a dataset, prints groups, arrays and columns with their shapes, types, sizes and attributes.
    Supports HDF5, netCDF, Parquet, safetensors and NumPy. Reads only headers and unpickles nothing.

    For a dataset, prints the number and size of its files, grouped by a column. With --plot, draws an array of the
    file, or the growth of the dataset.
    """
    if plot is not None:
        from orbitpkg.datasets.plotting import check_target

        check_target(plot)
    if name is None and Path(place).is_file():
        return _show_file(console, Path(place), place, plot, array)
    dataset = _dataset(place, repository)
    if name is None:
        return _show_dataset(console, dataset, condition, by, plot)
    with _fetched(dataset, name) as path:
        return _show_file(console, path, f"{name} in {dataset.id}", plot, array)


def _dataset(identifier: str, repository: str | None) -> Dataset:
    from orbitpkg.datasets.dataset import find_dataset
    from orbitpkg.model.names import is_valid_name

    found = find_dataset(identifier, repository) if is_valid_name(identifier) else None
    if found is None:
        raise UsageError(
            f"No file or dataset named {identifier} found.", hint="To list the datasets: orbitpkg dataset list"
        )
    return found


@contextmanager
def _fetched(dataset: Dataset, name: str) -> Iterator[Path]:
    """Download the newest file of a name. It is deleted at the end of the context."""
    from orbitpkg.datasets.fetching import Stores, fetch_one
    from orbitpkg.datasets.tables import quoted

    found = list(dataset.where(f"name = {quoted(name)}").data())
    if not found:
        raise UsageError(
            f"No file named {name!r} found in dataset {dataset.id}.",
            hint=f"To list the names: orbitpkg dataset query {dataset.id}",
        )
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        path = Path(folder) / Path(name).name
        fetch_one(found[-1], path, stores=Stores(dataset.objects))
        yield path


def _show_dataset(
    console: Console, dataset: Dataset, condition: str | None, by: str | None, plot: Path | None
) -> dict[str, object]:
    from orbitpkg.datasets.growth import plot_growth

    rows = dataset.where(condition).rows(columns=["registered", "size", *([by] if by else [])])
    if plot is not None:
        plot_growth(rows, plot, title=dataset.id, by=by)
        console.report(f"Plotted the growth of {dataset.id}", str(plot))
        return {"id": dataset.id, "repository": dataset.repository, "by": by, "picture": {"path": str(plot)}}
    amounts: dict[object, tuple[int, int]] = {}
    for row in rows:
        value, file_size = row[by] if by else None, row["size"]
        assert isinstance(file_size, int)
        files, total = amounts.get(value, (0, 0))
        amounts[value] = files + 1, total + file_size
    ranked = sorted(amounts.items(), key=lambda each: (-each[1][0], str(each[0])))
    console.rows(
        (
            ("all files" if not by else "(none)" if value is None else str(value)),
            layout.count(files, "file"),
            layout.size(total),
        )
        for value, (files, total) in ranked
    )
    groups = [{"value": value, "files": files, "bytes": total} for value, (files, total) in ranked]
    return {"id": dataset.id, "repository": dataset.repository, "by": by, "groups": groups}


def _show_file(console: Console, path: Path, called: str, plot: Path | None, array: str | None) -> dict[str, object]:
    from orbitpkg.datasets.showing import describe

    shown = describe(path)
    if plot is None:
        console.laid_out(_lines(shown, called))
        return _facts(shown, called)
    return _facts(shown, called) | {"picture": _plot(console, shown, plot, array)}


def _plot(console: Console, shown: Shown, target: Path, array: str | None) -> dict[str, object]:
    from orbitpkg.datasets.plotting import choose_array, plot_array

    name = choose_array(shown.root) if array is None else array
    picture = plot_array(shown.path, name, target)
    console.report(f"Plotted {_label(picture)} as {_FORMS[picture.form]}", str(target))
    return {"path": str(target), "array": name, "part": picture.part, "form": str(picture.form)}


def _label(picture: Picture) -> str:
    return f"{picture.name or 'the array'}{picture.part}"


def _lines(shown: Shown, called: str) -> Iterator[str]:
    yield f"{one_line(called)}: {shown.format}, {layout.size(shown.bytes)}"
    yield from _below(shown.root, "", terminal.width(sys.stdout))


def _below(node: Node, indent: str, width: int | None) -> Iterator[str]:
    """Draw a node's details and its children as a tree."""
    bar = f"{indent}{'|' if node.children else ' '} "
    words = [*(node.details if node.kind == "group" else ()), *_attributes(node)]
    for line in words:
        yield layout.wrap(one_line(line), width, first=bar, rest=f"{bar}  ")
    for number, child in enumerate(node.children, start=1):
        last = number == len(node.children)
        inner = f"{indent}{'    ' if last else '|   '}"
        line = one_line(f"{child.name or 'the array'}{_summary(child)}")
        yield layout.wrap(line, width, first=f"{indent}{'`-- ' if last else '|-- '}", rest=f"{inner}  ")
        yield from _below(child, inner, width)


def _attributes(node: Node) -> Iterator[str]:
    for name, value in node.attributes.items():
        text = value if isinstance(value, str) else json_text(value)
        text = " ".join(text.split())
        short = text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 3]}..."
        yield f"@{name} = {short}"


def _summary(node: Node) -> str:
    """Describe a member of a group in one line."""
    if node.kind == "group":
        return "/"
    if node.kind == "link":
        return f"  link {' '.join(node.details)}"
    words = [_shape(node), node.type, "" if node.bytes is None else layout.size(node.bytes)]
    if node.stored is not None and node.stored != node.bytes:
        words.append(f"{layout.size(node.stored)} stored")
    return f"  {', '.join(word for word in (*words, *node.details) if word)}"


def _shape(node: Node) -> str:
    if node.shape is None:
        return "empty" if node.kind == "array" else ""
    return " x ".join(map(str, node.shape)) or "scalar"


def _facts(shown: Shown, called: str) -> dict[str, object]:
    return {"file": called, "format": shown.format, "bytes": shown.bytes, "root": _node_facts(shown.root)}


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

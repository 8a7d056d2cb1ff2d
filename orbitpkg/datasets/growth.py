"""Plot the growth of a dataset: the number and the size of its files over time, optionally by tag."""

from __future__ import annotations

from array import array
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orbitpkg.datasets.plotting import check_target, new_figure, save
from orbitpkg.errors import UsageError
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MAX_GROUPS", "plot_growth"]

MAX_GROUPS: Final = 9
"""The maximum number of values with a separate colour. The rarer values share a colour."""

_STEPS: Final = 200
_OTHERS, _WITHOUT, _ALL = "others", "(none)", "all files"
_COLOURS: Final = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf")
_GREYS: Final = {_OTHERS: "#c0c0c0", _WITHOUT: "#707070"}
_LONGEST_NAME: Final = 24


class _Files(NamedTuple):
    """The registration times (seconds since 1970), sizes (bytes) and group numbers of all files, as columns."""

    times: Any
    sizes: Any
    groups: Any
    names: list[str]


def plot_growth(rows: Iterable[Mapping[str, Any]], target: Path, *, title: str, by: str | None = None) -> None:
    """Plot the number and the total size of the files in a dataset over time.

    Args:
        rows: Rows of the catalogue with ``registered`` (a ``datetime``, or ISO 8601) and ``size`` (bytes).
        target: The path of the PNG file. An existing file is replaced.
        title: The title of the plot.
        by: The column that determines the colours, or None for a single colour.

    Raises:
        UsageError: There are no rows, or ``target`` does not end in ``.png``.
        StorageError: The file cannot be written.
        MissingExtra: Matplotlib is not installed.
    """
    check_target(target)
    figure = new_figure()
    files = _files(rows, by)
    above, below = figure.subplots(2, 1, sharex=True)
    _draw(above, files, weights=None)
    _draw(below, files, weights=files.sizes)
    _name_axes(figure, above, below, files)
    above.set_title(title, parse_math=False, fontsize=11, loc="left", fontweight="bold")
    above.set_title(f"by {by}" if by else "", parse_math=False, fontsize=9, loc="right", color="0.35")
    save(figure, target)


def _files(rows: Iterable[Mapping[str, Any]], by: str | None) -> _Files:
    numpy = require("numpy", extra="plot", what="Drawing pictures")
    times, sizes, groups = array("d"), array("d"), array("q")
    numbers: dict[str, int] = {}
    for row in rows:
        name = _ALL if by is None else _WITHOUT if row.get(by) is None else str(row[by])
        groups.append(numbers.setdefault(name, len(numbers)))
        times.append(_seconds(row["registered"]))
        sizes.append(float(row["size"]))
    if not times:
        raise UsageError("There is nothing to plot: no data are selected.")
    order, names = _ranked(groups, list(numbers))
    return _Files(
        numpy.frombuffer(times), numpy.frombuffer(sizes), numpy.asarray(order)[numpy.frombuffer(groups, "q")], names
    )


def _seconds(when: object) -> float:
    return (when if isinstance(when, datetime) else datetime.fromisoformat(str(when))).timestamp()


def _ranked(groups: Iterable[int], names: list[str]) -> tuple[list[int], list[str]]:
    """Renumber groups by their number of files. Returns the new number of each group, and the names in that order."""
    ranked = [number for number, _ in Counter(groups).most_common()]
    kept = ranked if len(ranked) <= MAX_GROUPS else ranked[: MAX_GROUPS - 1]
    order = [kept.index(number) if number in kept else len(kept) for number in range(len(names))]
    return order, [names[number] for number in kept] + [_OTHERS] * (len(kept) < len(ranked))


def _draw(axes: Axes, files: _Files, *, weights: Any) -> None:
    import numpy as np

    first, last = float(files.times.min()), float(files.times.max())
    margin = max((last - first) * 0.02, 1.0)
    edges = np.linspace(first - margin, last + margin, _STEPS + 1)
    stacked = []
    for number in range(len(files.names)):
        mine = files.groups == number
        added, _ = np.histogram(files.times[mine], bins=edges, weights=None if weights is None else weights[mine])
        stacked.append(np.concatenate([[0], np.cumsum(added)]))
    moments = (edges * 1000).astype("datetime64[ms]")
    axes.stackplot(moments, *stacked, labels=files.names, colors=_colours(files.names), step="post", linewidth=0)


def _colours(names: list[str]) -> list[str]:
    return [_GREYS.get(name, _COLOURS[number % len(_COLOURS)]) for number, name in enumerate(names)]


def _name_axes(figure: Figure, above: Axes, below: Axes, files: _Files) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

    dates = require("matplotlib.dates", extra="plot", what="Drawing pictures")
    above.set_ylabel("files", fontsize=9)
    above.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    above.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below.set_ylabel("size", fontsize=9)
    below.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=True))
    below.yaxis.set_major_formatter(EngFormatter(unit="B"))
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    for axes in (above, below):
        axes.tick_params(labelsize=8)
        axes.margins(x=0)
        # If all files are empty, the axis would otherwise show fractions of a byte.
        axes.set_ylim(bottom=0, top=max(1, axes.get_ylim()[1]))
        axes.spines[["top", "right"]].set_visible(False)
    if files.names != [_ALL]:
        _add_legend(figure, above, files.names)


def _add_legend(figure: Figure, axes: Axes, names: list[str]) -> None:
    handles, _ = axes.get_legend_handles_labels()
    # Reverse the legend to match the order of the stacked areas.
    labels = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names]
    legend = figure.legend(handles[::-1], labels[::-1], loc="outside right upper", fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)

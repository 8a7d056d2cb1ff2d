"""Plot an array as a PNG file, in a form that suits its shape. The output is reproducible.

Matplotlib is used without its global state. Large arrays are subsampled. Formats that support it (HDF5, netCDF, npy,
safetensors except BF16) are not read completely for that.
"""

from __future__ import annotations

import math
import warnings
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orbitpkg.datasets.showing import open_array
from orbitpkg.errors import UsageError
from orbitpkg.extras import require
from orbitpkg.files.atomic import atomic_file
from orbitpkg.files.errors import WRITE, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from orbitpkg.datasets.showing import Array, Node

__all__ = ["Form", "Picture", "check_target", "choose_array", "choose_form", "new_figure", "plot_array", "save"]

_MAX_SIDE: Final = 1024
"""The maximum number of pixels along a side of an image. The plot is too small to show more."""

_MAX_VALUES: Final = 4_000_000
"""The maximum number of values read for a line or a histogram."""

_MAX_POINTS: Final = 4000
"""The maximum number of points in a line. Longer lines are drawn as a band between their minima and maxima."""

_MAX_MARKERS: Final = 64
_MAX_BARS: Final = 20
_MAX_LINES: Final = 8
_MIN_SIDE: Final = 8
_LONGEST_ASPECT: Final = 4
_COLOURS = (3, 4)
_SIZE_INCHES: Final = (8.0, 5.0)
_DPI: Final = 120
_LONGEST_TITLE: Final = 50
_BLUE = "#1f5fa8"


class Form(StrEnum):
    """The form of a plot."""

    COLOUR_IMAGE = "colour image"
    IMAGE = "image"
    LINES = "lines"
    LINE = "line"
    BARS = "bars"
    HISTOGRAM = "histogram"


class _Part(NamedTuple):
    """The part of an array to plot: its values, the step between them on each axis, and the type of the array."""

    values: Any
    steps: tuple[int, ...]
    dtype: Any


class Picture(NamedTuple):
    """A finished plot.

    Attributes:
        path: The path of the PNG file.
        form: The form of the plot.
        name: The name of the array.
        part: The part of the array that it shows, or an empty string for all of it.
    """

    path: Path
    form: Form
    name: str
    part: str


def choose_array(root: Node) -> str:
    """Choose the array in a file to plot: the largest numeric array.

    Raises:
        UsageError: The file contains no array that can be plotted.
    """
    arrays = [(path, node) for path, node in _arrays(root) if math.prod(node.shape or ()) > 1]
    if not arrays:
        raise UsageError("The file contains no array that can be plotted.")
    return max(arrays, key=lambda each: (each[1].bytes is not None, each[1].bytes or 0))[0]


def _arrays(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    for child in node.children:
        path = f"{prefix}{child.name}"
        if child.shape is not None:
            yield path, child
        yield from _arrays(child, f"{path}/")


def choose_form(shape: tuple[int, ...], kind: str) -> tuple[Form, tuple[int, ...]]:
    """Choose the form of a plot for an array.

    Args:
        shape: The shape of the array.
        kind: The kind of its type, as in ``numpy.dtype.kind``.

    Returns:
        The form, and the indices along the leading axes that select the part to plot.
    """
    if kind not in "iufcbM" or (kind == "b" and len(shape) == 1):
        return Form.BARS, ()
    if len(shape) <= 1:
        return Form.LINE, ()
    if len(shape) == 2 and shape[1] <= _MAX_LINES < shape[0]:  # noqa: PLR2004 - rows and columns
        return Form.LINES, ()
    is_colour = len(shape) >= 3 and shape[-1] in _COLOURS and min(shape[-3:-1]) >= _MIN_SIDE and kind in "uif"  # noqa: PLR2004
    if is_colour:
        return Form.COLOUR_IMAGE, _middle(shape[:-3])
    if min(shape[-2:]) >= _MIN_SIDE or len(shape) == 2:  # noqa: PLR2004
        return Form.IMAGE, _middle(shape[:-2])
    return Form.HISTOGRAM, ()


def _middle(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side // 2 for side in shape)


def plot_array(path: Path, name: str, target: Path) -> Picture:
    """Plot an array in a file.

    Args:
        path: The file.
        name: The name of the array, as for ``open_array``.
        target: The path of the PNG file. An existing file is replaced.

    Raises:
        UsageError: The array does not exist or cannot be plotted, or ``target`` does not end in ``.png``.
        IntegrityError: The file is damaged.
        StorageError: The file cannot be read, or the plot cannot be written.
        MissingExtra: Matplotlib, or the library that reads the file, is not installed.
    """
    check_target(target)
    figure = new_figure()
    with open_array(path, name) as array:
        shape, dtype = tuple(array.shape), array.dtype
        if math.prod(shape) <= 1 or dtype.names is not None:
            what = "one value" if math.prod(shape) == 1 else "no values" if not math.prod(shape) else "records"
            raise UsageError(f"{name or path.name} contains {what}, which cannot be plotted.")
        form, part = choose_form(shape, dtype.kind)
        values, steps = _read(array, form, part)
    axes: Axes = figure.add_subplot()
    _DRAWERS[form](figure, axes, _Part(values, steps, dtype))
    cut = f"[{', '.join(map(str, part))}]" if part else ""
    title = f"{_elided(name or path.name)}{cut}"
    axes.set_title(title, parse_math=False, fontsize=11, loc="left", fontweight="bold")
    facts = f"{' × '.join(map(str, shape))}  {'text' if dtype.hasobject else dtype}"  # noqa: RUF001 - says "by"
    axes.set_title(facts, parse_math=False, fontsize=9, loc="right", color="0.35")
    save(figure, target)
    return Picture(path=target, form=form, name=name, part=cut)


def _elided(name: str) -> str:
    return name if len(name) <= _LONGEST_TITLE else f"…{name[1 - _LONGEST_TITLE :]}"


def check_target(target: Path) -> None:
    """Check that the path of a plot ends in ``.png``.

    Raises:
        UsageError: It does not.
    """
    if target.suffix.lower() != ".png":
        raise UsageError(f"Cannot plot to {target}: the file name must end in .png.", hint="Example: --plot plot.png")


def new_figure() -> Figure:
    """Create an empty figure.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="plot", what="Drawing pictures")
    canvases = require("matplotlib.backends.backend_agg", extra="plot", what="Drawing pictures")
    figure: Figure = figures.Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    canvases.FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, target: Path) -> None:
    """Write a picture whole, or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    with storage_errors(target, WRITE), atomic_file(target) as file, warnings.catch_warnings():
        # Matplotlib's font lacks some scripts, whose characters are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="png", metadata={"Software": None})


def _read(array: Array, form: Form, part: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """Read the values to plot, subsampled if needed. Returns the values and the step on each axis."""
    numpy = require("numpy", extra="plot", what="Drawing pictures")
    shape = array.shape[len(part) :]
    if form in (Form.IMAGE, Form.COLOUR_IMAGE):
        steps = tuple(max(1, math.ceil(side / _MAX_SIDE)) for side in shape[:2])
        if not _is_long(shape[:2]):
            steps = (max(steps),) * 2
    else:
        steps = (max(1, math.ceil(math.prod(shape) / _MAX_VALUES)),)
    where = (*part, *(slice(None, None, step) for step in steps))
    return numpy.asarray(array[where]), steps


def _is_long(sides: tuple[int, ...]) -> bool:
    """Return whether an image is too narrow to keep its aspect ratio."""
    return max(sides) > _LONGEST_ASPECT * min(sides)


def _draw_colours(figure: Figure, axes: Axes, part: _Part) -> None:
    del figure
    import numpy as np

    values, _, dtype = part
    if dtype.kind == "f":
        values = np.nan_to_num(values.astype("f4"))
    if dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1 or dtype.kind != "f":
            values = (values - low) / ((high - low) or 1)
    axes.imshow(values, interpolation="nearest")
    axes.set_axis_off()


def _draw_image(figure: Figure, axes: Axes, part: _Part) -> None:
    import numpy as np

    values, steps, dtype = part
    is_grey = dtype in (np.dtype("u1"), np.dtype("?"))
    values = np.abs(values) if dtype.kind == "c" else values.astype("i8") if dtype.kind == "M" else values
    masked = np.ma.masked_invalid(values.astype("f4"))
    tall, wide = (side * step for side, step in zip(values.shape, steps, strict=True))
    # The ticks show the array's row and column numbers, despite the subsampling.
    extent = (-0.5, wide - 0.5, tall - 0.5, -0.5)
    cmap = "gray" if is_grey else "viridis"
    drawn = axes.imshow(masked, cmap=cmap, extent=extent, interpolation="nearest")
    axes.set_aspect("auto" if _is_long((tall, wide)) else "equal")
    _count_whole(axes)
    axes.tick_params(labelsize=8)
    if not is_grey:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
        bar.ax.tick_params(labelsize=8)


def _draw_line(figure: Figure, axes: Axes, part: _Part) -> None:
    del figure
    import numpy as np

    values = np.abs(part.values) if part.dtype.kind == "c" else part.values
    if len(values) > _MAX_POINTS and part.dtype.kind != "M":
        _draw_band(axes, values, part.steps[0])
    else:
        marker = "o" if len(values) <= _MAX_MARKERS else ""
        index = np.arange(len(values)) * part.steps[0]
        axes.plot(index, values, color=_BLUE, linewidth=1.2, marker=marker, markersize=3)
    _finish(axes, "index", "magnitude" if part.dtype.kind == "c" else "")
    _count_whole(axes)


def _draw_band(axes: Axes, values: Any, step: int) -> None:
    import numpy as np

    width = math.ceil(len(values) / (_MAX_POINTS // 4))
    starts = np.arange(0, len(values), width)
    values = values.astype("f8")
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    index = starts * step
    axes.fill_between(index, low, high, color=_BLUE, alpha=0.45, linewidth=0, label="lowest to highest")
    known = np.isfinite(values)
    sums, counts = np.add.reduceat(np.where(known, values, 0), starts), np.add.reduceat(known, starts)
    axes.plot(index, sums / np.where(counts, counts, np.nan), color=_BLUE, linewidth=1, label="mean")
    axes.legend(fontsize=8, frameon=False)


def _draw_lines(figure: Figure, axes: Axes, part: _Part) -> None:
    del figure
    import numpy as np

    values = np.abs(part.values) if part.dtype.kind == "c" else part.values
    thinned = max(1, math.ceil(len(values) / _MAX_POINTS))
    index = np.arange(0, len(values), thinned) * part.steps[0]
    for column in range(values.shape[1]):
        axes.plot(index, values[::thinned, column], linewidth=1.2, label=f"[:, {column}]")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _finish(axes, "row", "magnitude" if part.dtype.kind == "c" else "")
    _count_whole(axes)


def _draw_bars(figure: Figure, axes: Axes, part: _Part) -> None:
    del figure
    from collections import Counter

    counted = Counter(_label(value) for value in part.values.reshape(-1).tolist())
    top = counted.most_common(_MAX_BARS)[::-1]
    axes.barh(range(len(top)), [number for _, number in top], color=_BLUE)
    axes.set_yticks(range(len(top)), [label for label, _ in top], fontsize=8, parse_math=False)
    left_out = len(counted) - len(top)
    _finish(axes, f"count of each value{f' ({left_out:,} rarer ones left out)' if left_out else ''}", "")


def _label(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 32 else f"{text[:31]}…"  # noqa: PLR2004 - what fits beside a chart


def _draw_histogram(figure: Figure, axes: Axes, part: _Part) -> None:
    del figure
    import numpy as np

    flat = part.values.reshape(-1)
    flat = np.abs(flat) if part.dtype.kind == "c" else flat.astype("f8")
    axes.hist(flat[np.isfinite(flat)], bins=60, color=_BLUE)
    _finish(axes, "value", "count")


def _count_whole(axes: Axes) -> None:
    """Place the ticks of rows and columns at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis) if axes.images else (axes.xaxis,):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _finish(axes: Axes, below: str, beside: str) -> None:
    axes.set_xlabel(below, fontsize=9)
    axes.set_ylabel(beside, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)


_DRAWERS: Final = {
    Form.COLOUR_IMAGE: _draw_colours,
    Form.IMAGE: _draw_image,
    Form.LINE: _draw_line,
    Form.LINES: _draw_lines,
    Form.BARS: _draw_bars,
    Form.HISTOGRAM: _draw_histogram,
}

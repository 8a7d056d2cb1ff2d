"""Which files can run code when they are opened with what they are made for. Pure.

orbitpkg opens none of them; it tells of them, and refuses to install them where a project says so. They are known by
their names: a pickle under another name is not found, so that this warns and does not protect from ill will.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.model.names import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FORMATS", "check_formats", "executable_files", "forbidden_files"]

_SUFFIXES = {
    "pickle": (".pkl", ".pickle", ".pk", ".dill", ".cloudpickle"),
    "joblib": (".joblib",),
    "pytorch": (".pt", ".pth", ".ckpt"),
    "keras": (".h5", ".hdf5", ".keras"),
    "notebook": (".ipynb",),
}
# What these programs write holds pickles.
_PICKLES = ("pickle", "joblib", "pytorch")

FORMATS = tuple(_SUFFIXES)
"""The formats that are known: pickles; joblib's and PyTorch's files, which hold pickles; Keras models, whose Lambda
layers hold code; notebooks."""


def executable_files(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give the files that can run code, by format."""
    found: dict[str, list[str]] = {}
    for path in paths:
        form = _format_of(path)
        if form is not None:
            found.setdefault(form, []).append(path)
    return {form: tuple(found[form]) for form in FORMATS if form in found}


def _format_of(path: str) -> str | None:
    name = path.rpartition("/")[2].lower()
    for form, suffixes in _SUFFIXES.items():
        if name.endswith(suffixes):
            return form
    # Hugging Face's name for what torch.save wrote.
    return "pytorch" if name.startswith("pytorch_model") and name.endswith(".bin") else None


def forbidden_files(paths: Iterable[str], forbidden: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give the files of formats that are forbidden; ``pickle`` forbids what holds pickles, too."""
    words = set(forbidden)
    if "pickle" in words:
        words.update(_PICKLES)
    return {form: files for form, files in executable_files(paths).items() if form in words}


def check_formats(words: Iterable[str], *, where: str) -> tuple[str, ...]:
    """Give the formats that somebody forbids.

    Args:
        words: What they wrote.
        where: Where, for messages.

    Raises:
        UsageError: One of them is unknown.
    """
    said = tuple(words)
    for word in said:
        if word not in FORMATS:
            close = nearest(word, FORMATS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(FORMATS)}."
            raise UsageError(f"{where}: {word!r} is no format that can be forbidden.", hint=hint)
    return said

"""File formats that can run code when a program opens them, such as pickles and notebooks.

orbitpkg never opens such files itself. It reports them, and refuses to install formats that the configuration forbids.
Formats are recognized by file name, so a pickle under another name is not detected: this is a safeguard against
accidents and not against malicious packages.
"""

from __future__ import annotations

from orbitpkg.errors import UsageError
from orbitpkg.model.wording import did_you_mean

TYPE_CHECKING = False
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
# joblib and PyTorch files contain pickles.
_PICKLES = ("pickle", "joblib", "pytorch")

FORMATS = tuple(_SUFFIXES)
"""The known formats: pickles; joblib and PyTorch files, which contain pickles; Keras models, whose Lambda layers
contain code; notebooks."""


def executable_files(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the files that can run code, by format."""
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
    # Hugging Face's name for a file written by torch.save.
    return "pytorch" if name.startswith("pytorch_model") and name.endswith(".bin") else None


def forbidden_files(paths: Iterable[str], forbidden: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the files of forbidden formats, by format. ``pickle`` includes every format that contains pickles."""
    words = set(forbidden)
    if "pickle" in words:
        words.update(_PICKLES)
    return {form: files for form, files in executable_files(paths).items() if form in words}


def check_formats(words: Iterable[str], *, where: str) -> tuple[str, ...]:
    """Validate a list of formats to forbid, and return it as a tuple.

    Args:
        words: The names of the formats.
        where: Their source, for error messages.

    Raises:
        UsageError: A format is unknown.
    """
    formats = tuple(words)
    for word in formats:
        if word not in FORMATS:
            hint = did_you_mean(word, FORMATS) or f"The formats are {', '.join(FORMATS)}."
            raise UsageError(f"{where}: unknown file format {word!r}.", hint=hint)
    return formats

"""Package names: which are valid, when two are the same, and which one was probably meant.

A name is ASCII letters, digits, ``.``, ``_`` and ``-``, starts and ends with a letter or digit, and has at most
100 characters (so that ``NAME-VERSION-DIGEST.tar.zst`` fits the 255 bytes of a file name). Names are compared, and
keyed in a bucket, in the form of PEP 503: lower case, every run of ``.``, ``_`` and ``-`` one ``-``.

This module is on the path of an app that starts: it imports nothing (``typing`` and ``re`` together are 6 ms, half of
a bare interpreter), and the errors only to raise one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.errors import UsageError

__all__ = ["MAX_NAME_LENGTH", "NAME_CHARACTERS", "canonical_name", "is_valid_name", "nearest"]

MAX_NAME_LENGTH = 100
NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def is_valid_name(text: str) -> bool:
    """Whether ``text`` may name a package."""
    return (
        0 < len(text) <= MAX_NAME_LENGTH
        and NAME_CHARACTERS.issuperset(text)
        and text[0] not in "._-"
        and text[-1] not in "._-"
    )


def canonical_name(text: str) -> str:
    """The form of a valid name that is compared and stored (PEP 503).

    Raises:
        UsageError: The name is not valid; the message says why, the hint how it could be spelled. ``data["reason"]``
            is the why alone.
    """
    if not is_valid_name(text):
        raise _refusal(text)
    return _fold(text)


def nearest(word: str, choices: Iterable[str], n: int = 3) -> list[str]:
    """The at most ``n`` choices most like ``word``, best first; for a "Did you mean"."""
    # On the path of an error only, so difflib costs a good start nothing.
    import difflib

    folded: dict[str, str] = {}
    for choice in choices:
        folded.setdefault(_fold(choice), choice)
    close = difflib.get_close_matches(_fold(word[: 2 * MAX_NAME_LENGTH]), folded, n=n, cutoff=0.6)
    return [folded[key] for key in close]


def _fold(text: str) -> str:
    parts = text.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(part for part in parts if part)


def _refusal(text: str) -> UsageError:
    from orbitpkg.errors import UsageError

    reason = _reason(text)
    guess = _respelled(text)
    hint = f'Did you mean "{guess}"?' if guess else "A name is letters and digits, with . _ - between them."
    shown = text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…"
    return UsageError(f"{shown!r} is not a package name: {reason}.", hint=hint, name=text, reason=reason)


def _reason(text: str) -> str:
    if not text:
        return "it is empty"
    wrong = sorted(set(text) - NAME_CHARACTERS)
    if wrong:
        return f"{', '.join(map(ascii, wrong[:5]))} may not be in it"
    if len(text) > MAX_NAME_LENGTH:
        return f"it has {len(text)} characters, and {MAX_NAME_LENGTH} is the most"
    return "it must start and end with a letter or a digit"


def _respelled(text: str) -> str | None:
    """A valid name that looks like ``text``, if there is one."""
    import unicodedata

    # NFKD takes the accents off letters, so that "modèle" becomes "modele" and not "mod-le".
    letters = (
        char
        for char in unicodedata.normalize("NFKD", text[: 4 * MAX_NAME_LENGTH])
        if char.isascii() or not unicodedata.combining(char)
    )
    ascii_only = "".join(char if char in NAME_CHARACTERS else " " for char in letters)
    guess = "-".join(ascii_only.split()).strip("._-")[:MAX_NAME_LENGTH].rstrip("._-")
    return guess or None

"""Package names: validation, comparison and spelling suggestions.

A name consists of ASCII letters, digits, ``.``, ``_`` and ``-``. It starts and ends with a letter or digit and has at
most 100 characters, which leaves room for ``NAME-VERSION-DIGEST.tar.zst`` in a file name of 255 bytes. Names are
compared, and stored in a bucket, in the canonical form of PEP 503: lower case, with every run of ``.``, ``_`` and
``-`` replaced by a single ``-``.

Applications import this module when they start. It therefore imports nothing (``typing`` and ``re`` together take
6 ms, half the start-up time of a bare interpreter), and loads the errors only to raise one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.errors import UsageError

__all__ = ["MAX_NAME_LENGTH", "NAME_CHARACTERS", "canonical_name", "is_valid_name", "nearest"]

MAX_NAME_LENGTH = 100
# difflib's measure of similarity; and the number of names that it compares in less than a tenth of a second.
_SIMILAR = 0.6
_MOST_COMPARED = 2_000
NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def is_valid_name(text: str) -> bool:
    """Return whether ``text`` is a valid package name."""
    return (
        0 < len(text) <= MAX_NAME_LENGTH
        and NAME_CHARACTERS.issuperset(text)
        and text[0] not in "._-"
        and text[-1] not in "._-"
    )


def canonical_name(text: str) -> str:
    """Return the canonical form of a name, as PEP 503 defines it.

    Raises:
        UsageError: The name is invalid. The message gives the reason, which is also in ``data["reason"]``; the hint
            suggests a valid spelling.
    """
    if not is_valid_name(text):
        raise _invalid_name(text)
    return _fold(text)


def nearest(word: str, choices: Iterable[str], n: int = 3) -> list[str]:
    """Return up to ``n`` choices that resemble ``word``, best first, for a "Did you mean" hint."""
    # Imported here because only errors need it, and a normal start should not pay for it.
    import difflib

    wanted = _fold(word[: 2 * MAX_NAME_LENGTH])
    # Names that differ more in length cannot be as similar, and comparing long ones takes time.
    longest = len(wanted) * (2 - _SIMILAR) / _SIMILAR
    folded: dict[str, str] = {}
    for choice in choices:
        if len(choice) <= max(longest, MAX_NAME_LENGTH):
            folded.setdefault(_fold(choice), choice)
    candidates = list(folded)
    if len(candidates) > _MOST_COMPARED:
        # Typing errors in the first letter are rare.
        candidates = [key for key in candidates if key[:1] == wanted[:1]][:_MOST_COMPARED]
    close = difflib.get_close_matches(wanted, candidates, n=n, cutoff=_SIMILAR)
    return [folded[key] for key in close]


def _fold(text: str) -> str:
    parts = text.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(part for part in parts if part)


def _invalid_name(text: str) -> UsageError:
    from orbitpkg.errors import UsageError

    reason = _reason(text)
    guess = _respelled(text)
    hint = f'Did you mean "{guess}"?' if guess else "Use letters and digits, with '.', '_' or '-' between them."
    shown = text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…"
    return UsageError(f"{shown!r} is not a valid package name: {reason}.", hint=hint, name=text, reason=reason)


def _reason(text: str) -> str:
    if not text:
        return "it is empty"
    wrong = sorted(set(text) - NAME_CHARACTERS)
    if wrong:
        return f"{', '.join(map(_shown, wrong[:5]))} {'is' if len(wrong) == 1 else 'are'} not allowed"
    if len(text) > MAX_NAME_LENGTH:
        return f"it has {len(text)} characters; the maximum is {MAX_NAME_LENGTH}"
    return "it must start and end with a letter or a digit"


def _shown(char: str) -> str:
    # Letters of other scripts can look like ASCII ones; the code point tells them apart.
    return repr(char) if char.isascii() or not char.isprintable() else f"{char!r} (U+{ord(char):04X})"


def _respelled(text: str) -> str | None:
    """Return a valid name that resembles ``text``, or None."""
    import unicodedata

    # NFKD separates accents from letters: "modèle" becomes "modele" instead of "mod-le".
    letters = (
        char
        for char in unicodedata.normalize("NFKD", text[: 4 * MAX_NAME_LENGTH])
        if char.isascii() or not unicodedata.combining(char)
    )
    ascii_only = "".join(char if char in NAME_CHARACTERS else " " for char in letters)
    guess = "-".join(ascii_only.split()).strip("._-")[:MAX_NAME_LENGTH].rstrip("._-")
    return guess or None

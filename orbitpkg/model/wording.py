"""Phrases that error messages share. Imports nothing that takes time, because start-up paths import it."""

from __future__ import annotations

from orbitpkg.model.names import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["UPGRADE_HINT", "as_subject", "did_you_mean", "unsupported_format"]

UPGRADE_HINT = "To upgrade orbitpkg: pip install -U orbitpkg"
"""The hint for a file that a newer version of orbitpkg wrote."""


def as_subject(what: str) -> str:
    """Return a noun phrase for the start of a sentence. File names keep their spelling."""
    return what[0].upper() + what[1:] if what.startswith(("the ", "a ", "an ", "line ")) else what


def did_you_mean(word: str, choices: Iterable[str], *, n: int = 1) -> str | None:
    """Return a hint with up to ``n`` choices that resemble ``word``, or None if there are none."""
    close = nearest(word, choices, n)
    return f"Did you mean {' or '.join(close)}?" if close else None


def unsupported_format(what: str, found: object, supported: int) -> str:
    """Return the message for a file whose format number this version of orbitpkg does not support."""
    return f"{as_subject(what)} has format {found!r}; this version of orbitpkg supports format {supported}."

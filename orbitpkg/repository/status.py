"""The life of a release after its publication: available, deprecated or yanked, and why.

A release never changes; what is thought of it does. Its status is an object beside its record, written over at will: of
two who set it, the last one is right. A release without one is available.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.model.jsontext import canonical_json, parse_json

__all__ = ["MAX_STATUS_BYTES", "State", "Status", "parse_status"]

MAX_STATUS_BYTES = 8 * 1024
_MAX_REASON = 1000
_FORMAT = 1


class State(StrEnum):
    """What is thought of a release."""

    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    YANKED = "yanked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is thought of a release, and why.

    Attributes:
        state: What.
        reason: Why, in the words of the one who said so; "" when nobody did.
        changed: When it was said, RFC 3339, UTC.
    """

    state: State
    reason: str = ""
    changed: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > _MAX_REASON:
            raise UsageError(f"The reason has {len(self.reason):,} characters; {_MAX_REASON:,} is the most.")

    def to_json(self) -> bytes:
        """Write the status; :func:`parse_status` reads it back."""
        return canonical_json(
            {"format": _FORMAT, "state": str(self.state), "reason": self.reason, "changed": self.changed}
        )


def parse_status(data: bytes, *, what: str) -> Status:
    """Read a status.

    Args:
        data: The object.
        what: What it is, for messages.

    Raises:
        IntegrityError: It is none, or of a newer format.
    """
    table = parse_json(data, what=what, max_bytes=MAX_STATUS_BYTES)
    try:
        if not isinstance(table, dict) or table["format"] != _FORMAT:
            said = table.get("format") if isinstance(table, dict) else None
            raise IntegrityError(
                f"{what[0].upper()}{what[1:]} has format {said!r}; this orbitpkg reads format {_FORMAT}.",
                hint="A newer orbitpkg may read it: upgrade with pip install -U orbitpkg.",
            )
        return Status(state=State(table["state"]), reason=_text(table["reason"]), changed=_text(table["changed"]))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise IntegrityError(
            f"{what[0].upper()}{what[1:]} is damaged: {error}.", hint="Set it anew: orbitpkg yank REQ, or --undo."
        ) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value

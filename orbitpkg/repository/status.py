"""The status of a release after its publication: available, deprecated or yanked, and why.

A release never changes, but its status does. The status is an object beside the record and is overwritten freely: the
last writer wins. A release without one is available.
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
    """Whether a release should be used."""

    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    YANKED = "yanked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a release.

    Attributes:
        state: Whether it should be used.
        reason: Why, in the words of the person who set the status; may be empty.
        changed: When the status was set, RFC 3339, UTC.
    """

    state: State
    reason: str = ""
    changed: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > _MAX_REASON:
            raise UsageError(f"The reason has {len(self.reason):,} characters; the maximum is {_MAX_REASON:,}.")

    def to_json(self) -> bytes:
        """Serialize the status; the inverse of :func:`parse_status`."""
        return canonical_json(
            {"format": _FORMAT, "state": str(self.state), "reason": self.reason, "changed": self.changed}
        )


def parse_status(data: bytes, *, what: str) -> Status:
    """Parse a status.

    Args:
        data: The content of the object.
        what: A description of it, for messages.

    Raises:
        IntegrityError: It is damaged or has a newer format.
    """
    table = parse_json(data, what=what, max_bytes=MAX_STATUS_BYTES)
    try:
        if not isinstance(table, dict) or table["format"] != _FORMAT:
            found = table.get("format") if isinstance(table, dict) else None
            raise IntegrityError(
                f"{what[0].upper()}{what[1:]} has format {found!r}; "
                f"this version of orbitpkg supports format {_FORMAT}.",
                hint="To upgrade orbitpkg: pip install -U orbitpkg",
            )
        return Status(state=State(table["state"]), reason=_text(table["reason"]), changed=_text(table["changed"]))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise IntegrityError(
            f"{what[0].upper()}{what[1:]} is damaged: {error}.", hint="To set it again: orbitpkg yank REQ"
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value

"""What an extractor returns, and how the error of one is worded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Extracted", "reason_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """The metadata of a file.

    Attributes:
        metadata: The metadata by name, as JSON values (without NaN, which JSON does not support).
        warnings: One sentence for each problem.
    """

    metadata: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def reason_of(error: Exception) -> str:
    """Return the type and message of an exception on one line."""
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__

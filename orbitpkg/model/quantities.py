"""Durations, sizes and percentages as users write them: ``30d``, ``50GB``, ``5%``."""

from __future__ import annotations

import re
from datetime import timedelta

from orbitpkg.errors import UsageError

__all__ = ["parse_period", "parse_share", "parse_size"]

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)")
_HOURS = {"h": 1, "d": 24, "": 24, "w": 7 * 24}
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_MAX_DAYS = 36_500


def parse_period(text: str) -> timedelta:
    """Parse a duration: ``30d``, ``12h``, ``2w``. A number without a unit is in days.

    Raises:
        UsageError: The text is not a duration, or is longer than a hundred years.
    """
    amount, unit = _split(text)
    hours = _HOURS.get(unit.lower())
    if hours is None or amount * hours > _MAX_DAYS * 24:
        raise UsageError(f"{text!r} is not a valid duration.", hint="Use a form such as 30d, 12h or 2w.")
    return timedelta(hours=amount * hours)


def parse_size(text: str) -> int:
    """Parse a size in bytes: ``50GB``, ``1.5T``, ``512MiB``, ``1000``.

    Raises:
        UsageError: The text is not a size.
    """
    amount, unit = _split(text)
    letters = unit.lower().removesuffix("b")
    step = 1024 if letters.endswith("i") else 1000
    power = _POWERS.get(letters.removesuffix("i"))
    if power is None or letters == "i":
        raise UsageError(f"{text!r} is not a valid size.", hint="Use a form such as 50GB or 512MiB.")
    return int(amount * step**power)


def parse_share(text: str) -> float:
    """Parse a percentage, ``5%``. Returns a fraction greater than 0 and at most 1.

    Raises:
        UsageError: The text is not a percentage, or is out of range.
    """
    amount, unit = _split(text)
    if unit != "%" or not 0 < amount <= 100:  # noqa: PLR2004 - percent
        raise UsageError(f"{text!r} is not a valid percentage.", hint="Use a form such as 5%, up to 100%.")
    return amount / 100


def _split(text: str) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(text.strip())
    return (float(match[1]), match[2]) if match else (0, "?")

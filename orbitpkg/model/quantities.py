"""Times, sizes and shares as people write them: ``30d``, ``50GB``, ``5%``. Pure."""

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
    """Read a time: ``30d``, ``12h``, ``2w``; a bare number is one of days.

    Raises:
        UsageError: It is none, or longer than a hundred years.
    """
    amount, unit = _split(text)
    hours = _HOURS.get(unit.lower())
    if hours is None or amount * hours > _MAX_DAYS * 24:
        raise UsageError(f"{text!r} is no time.", hint="Write it like 30d, 12h or 2w.")
    return timedelta(hours=amount * hours)


def parse_size(text: str) -> int:
    """Read a number of bytes: ``50GB``, ``1.5T``, ``512MiB``, ``1000``.

    Raises:
        UsageError: It is none.
    """
    amount, unit = _split(text)
    letters = unit.lower().removesuffix("b")
    step = 1024 if letters.endswith("i") else 1000
    power = _POWERS.get(letters.removesuffix("i"))
    if power is None or letters == "i":
        raise UsageError(f"{text!r} is no size.", hint="Write it like 50GB or 512MiB.")
    return int(amount * step**power)


def parse_share(text: str) -> float:
    """Read a part of a whole, ``5%``; returns it as a number over 0 and up to 1.

    Raises:
        UsageError: It is none.
    """
    amount, unit = _split(text)
    if unit != "%" or not 0 < amount <= 100:  # noqa: PLR2004 - percent
        raise UsageError(f"{text!r} is no part of a whole.", hint="Write it like 5%, up to 100%.")
    return amount / 100


def _split(text: str) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(text.strip())
    return (float(match[1]), match[2]) if match else (0, "?")

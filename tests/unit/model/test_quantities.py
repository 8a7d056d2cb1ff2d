"""Times, sizes and shares as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orbitpkg.errors import UsageError
from orbitpkg.model.quantities import parse_period, parse_share, parse_size


@pytest.mark.parametrize(
    ("text", "hours"), [("30d", 720), ("12h", 12), ("2w", 336), ("7", 168), ("0", 0), ("1.5d", 36), ("1 D", 24)]
)
def test_a_period_is_a_number_and_a_unit(text: str, hours: float) -> None:
    assert parse_period(text) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("text", "size"),
    [("50GB", 50 * 10**9), ("50g", 50 * 10**9), ("1.5T", 15 * 10**11), ("512MiB", 512 << 20), ("1000", 1000), ("0", 0)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("100%", 1.0), ("0.5 %", 0.005)])
def test_a_share_is_a_number_of_percent(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["", "d", "30y", "-1d", "1e9", "99999999999d", "nan", "30d 2h"])
def test_an_invalid_period_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid duration"):
        parse_period(text)


@pytest.mark.parametrize("text", ["", "GB", "5X", "-1", "5 G B", "5i", "inf"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "5", "0%", "101%", "-5%", "1/20"])
def test_an_invalid_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid percentage"):
        parse_share(text)

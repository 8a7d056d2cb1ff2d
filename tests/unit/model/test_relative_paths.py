"""Paths below a directory, as others write them: none leads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orbitpkg.errors import IntegrityError
from orbitpkg.model.paths import RelativePath


@pytest.mark.parametrize("text", ["a", "a/b.bin", "12:30?.wav", "a..b", "..a", "ü/é", "a b", "%2e%2e/a", "con"])
def test_a_path_below_a_directory_is_joined(text: str) -> None:
    assert RelativePath(text).below(Path("/data")) == Path("/data", text)


@pytest.mark.parametrize(
    "text",
    ["", "/", "/etc/passwd", "..", "a/..", "../a", "a/../../b", ".", "a/./b", "a//b", "a/", "a\\b", "a\nb", "a\0b"],
)
def test_a_path_that_may_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        RelativePath(text)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\u2028b", "\udcff", "a" * 256], ids=ascii)
def test_a_path_that_no_terminal_or_disk_should_get_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        RelativePath(text)

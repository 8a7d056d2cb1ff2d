"""What differs between two releases, against a definition by sets of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive
from orbitpkg.model.difference import Difference, difference
from tests.packages import archive_of, make_package, noise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def compared(folder: Path, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Difference:
    contents = []
    for name, files in (("old", old), ("new", new)):
        archive = archive_of(make_package(folder / name, files=files), folder / f"{name}.tar.zst")
        with LocalArchive.open(archive) as opened:
            contents.append(opened.contents)
    return difference(*contents)


def test_files_are_added_removed_changed_or_the_same(tmp_path: Path) -> None:
    old = {"same": b"1", "gone": b"22", "grown": b"3", "edited": b"4"}
    new = {"same": b"1", "fresh": b"55555", "grown": b"333", "edited": b"5"}
    found = compared(tmp_path, old, new)
    assert [(file.path, file.size) for file in found.added] == [("fresh", 5)]
    assert [(file.path, file.size) for file in found.removed] == [("gone", 2)]
    assert [(each.new.path, each.old.size, each.new.size) for each in found.changed] == [
        ("edited", 1, 1),
        ("grown", 1, 3),
    ]
    assert found.same == 2  # package.json is one


def test_a_file_that_became_executable_has_changed(tmp_path: Path) -> None:
    for name in ("old", "new"):
        make_package(tmp_path / name, files={"run.sh": b"#!/bin/sh\n"})
    (tmp_path / "new" / "run.sh").chmod(0o755)
    found = compared(tmp_path, {}, {})
    assert [each.new.path for each in found.changed] == ["run.sh"]


def test_only_chunks_that_the_first_has_not_are_to_fetch(tmp_path: Path) -> None:
    data = noise(20_000_000)
    changed = data[:10_000_000] + b"x" + data[10_000_001:]
    found = compared(tmp_path, {"weights.bin": data}, {"weights.bin": changed})
    assert 0 < found.new_bytes < 10_000_000
    assert 0 < found.bytes_to_fetch < 10_000_000


def test_a_release_differs_from_itself_in_nothing(tmp_path: Path) -> None:
    found = compared(tmp_path, {"a": b"1"}, {"a": b"1"})
    assert (found.added, found.removed, found.changed, found.new_bytes) == ((), (), (), 0)

"""What is remembered of an upload that was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orbitpkg.objects.transfer.journal import Journal
from orbitpkg.publisher.assemble import CopiedPart, SentPart, part_identity

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.publisher.assemble import Part

SENT = part_identity(SentPart(data=b"bytes"))
COPIED = part_identity(CopiedPart(source="archives/a", start=5, length=7))


def journal(folder: Path, *, url: str = "s3://bucket/p", version: str = "1.0.0") -> Journal:
    return Journal(folder / "uploads", url=url, name="model", version=version)


def test_it_remembers_the_upload_and_its_parts(tmp_path: Path) -> None:
    first = journal(tmp_path)
    assert (first.key, first.upload) == (None, None)
    first.begin("archives/model/x", "upload-1")
    first.arrived(1, SENT)
    first.arrived(2, COPIED)
    again = journal(tmp_path)
    assert (again.key, again.upload) == ("archives/model/x", "upload-1")
    assert again.has(1, SENT)
    assert again.has(2, COPIED)
    assert not again.has(1, COPIED)
    assert not again.has(3, SENT)


def test_different_content_makes_another_part() -> None:
    others: list[Part] = [
        SentPart(data=b"byte"),
        SentPart(data=b"bytez"),
        CopiedPart(source="archives/a", start=5, length=8),
    ]
    assert len({SENT, COPIED, *map(part_identity, others)}) == 5


def test_repositories_and_versions_have_journals_of_their_own(tmp_path: Path) -> None:
    journal(tmp_path).begin("archives/model/x", "upload-1")
    assert journal(tmp_path, url="s3://other/p").upload is None
    assert journal(tmp_path, version="1.0.1").upload is None


def test_it_forgets_at_once(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.begin("archives/model/x", "upload-1")
    first.forget()
    assert first.upload is None
    assert journal(tmp_path).upload is None
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    "damage", [b"", b"not json\n", b'{"key": 1}\n', b"[]\n", b'{"key":"k","upload":"u"}\n{"number":']
)
def test_a_damaged_one_is_ignored(tmp_path: Path, damage: bytes) -> None:
    first = journal(tmp_path)
    first.begin("archives/model/x", "upload-1")
    first.arrived(1, SENT)
    (path,) = (tmp_path / "uploads").iterdir()
    path.write_bytes(damage)
    assert journal(tmp_path).upload is None


def test_files_are_sent_even_if_the_journal_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("no directory")
    first = journal(tmp_path)
    first.begin("archives/model/x", "upload-1")
    first.arrived(1, SENT)
    assert (first.upload, first.has(1, SENT)) == ("upload-1", True)
    assert journal(tmp_path).upload is None
    first.forget()

"""What reads bytes that others wrote: each reader either understands them or refuses them with an error of ours.

Where there is a way back, what was understood is written and read again, and must be the same.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive, verify_archive
from orbitpkg.assemblies.catalogues import open_catalogue
from orbitpkg.assemblies.stimuli import read_stimulus_set
from orbitpkg.compat.sputnik.formats.archives import SputnikArchive, open_converted
from orbitpkg.compat.sputnik.formats.meta import parse_meta
from orbitpkg.datasets.freezing import parse_frozen
from orbitpkg.errors import OrbitError, UsageError
from orbitpkg.model.contents import parse_contents
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.lockfile import parse_lock
from orbitpkg.model.manifest import parse_manifest
from orbitpkg.model.paths import relative_problem
from orbitpkg.model.project import bound_to, parse_project
from orbitpkg.model.release import parse_release
from orbitpkg.model.requirements import parse_range, parse_requirement
from orbitpkg.model.tomltext import load_toml
from orbitpkg.model.versions import parse_version
from orbitpkg.repository.index import parse_index
from orbitpkg.repository.status import parse_status
from tests.bad_inputs.forgery import forge, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CORPORA", "TARGETS", "attempt", "corpus_of"]

CORPORA = Path(__file__).with_name("corpus")

_VERSION = parse_version("1.0.0")


def _json(data: bytes) -> None:
    value = parse_json(data, what="the text", max_bytes=1 << 20)
    assert parse_json(canonical_json(value), what="its own writing", max_bytes=1 << 24) == value


def _manifest(data: bytes) -> None:
    parse_manifest(data).select(["package.json", "data/model.bin", "a/b/c.csv"])


def _contents(data: bytes) -> None:
    parse_contents(data)


def _record(data: bytes) -> None:
    parse_release(data, name="model", version=_VERSION)


def _index(data: bytes) -> None:
    index = parse_index(data, name="model")
    assert parse_index(index.to_json(), name="model") == index


def _status(data: bytes) -> None:
    parse_status(data, what="the status")


def _lockfile(data: bytes) -> None:
    parse_lock(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _requirement(data: bytes) -> None:
    wanted = parse_requirement(_text(data))
    wanted.range.allows(_VERSION)
    again = parse_requirement(str(wanted))
    assert (again.key, again.range.text) == (wanted.key, wanted.range.text)


def _range(data: bytes) -> None:
    parsed = parse_range(_text(data))
    parsed.allows(_VERSION)
    assert parse_range(parsed.text).text == parsed.text


def _version(data: bytes) -> None:
    version = parse_version(_text(data))
    assert parse_version(str(version)) == version


def _archive(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzzed.tar.zst")
        path.write_bytes(data)
        archive = LocalArchive.open(path)
        try:
            verify_archive(archive)
        finally:
            archive.close()


def _sealed(data: bytes) -> None:
    """An archive whose checksums are right whatever its contents are: they are what is fuzzed."""
    _archive(seal(data, b"".join(forge().frames)))


def _meta(data: bytes) -> None:
    meta = parse_meta(data, where="the package")
    assert parse_manifest(meta.manifest_text()) == meta.manifest()


def _sputnik(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzzed.sputnik")
        path.write_bytes(data)
        open_converted(path, Path(folder, "scratch")).close()
        assert sorted(each.name for each in Path(folder).rglob("*")) == ["fuzzed.sputnik", "scratch"]


def _frozen(data: bytes) -> None:
    """A line of the data.jsonl of a frozen selection. Its path must stay below a folder."""
    path, datum = parse_frozen(parse_json(data, what="the line", max_bytes=1 << 20))
    assert relative_problem(path) is None
    assert datum.id.isalnum()


def _with_file(name: str, data: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        read(path)
        assert [each.name for each in Path(folder).rglob("*")] == [name]


def _catalogue(data: bytes) -> None:
    _with_file("lookup.csv", data, open_catalogue)


def _stimuli(data: bytes) -> None:
    """The table of a stimulus set. Its only file exists for the names that stay below the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns about odd columns
        _with_file("stimuli.csv", data, lambda path: read_stimulus_set(path, path.parent, identifier="fuzzed"))


def _settings(data: bytes) -> None:
    try:
        table = load_toml(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise UsageError("The text is not TOML.") from None
    document = parse_project(table, where="orbit.toml")
    for repository in document.repositories:
        bound_to("model", [repository])


def _tar_headers(data: bytes) -> None:
    """A Sputnik archive in which the checksum of every block that looks like a header is right."""
    blocks = [data[start : start + 512] for start in range(0, len(data), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar":
            total = sum(block) - sum(block[148:156]) + 8 * 32
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzzed.sputnik")
        path.write_bytes(b"".join(blocks))
        SputnikArchive.read(path)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "json": _json,
    "manifest": _manifest,
    "contents": _contents,
    "record": _record,
    "index": _index,
    "status": _status,
    "lockfile": _lockfile,
    "requirement": _requirement,
    "range": _range,
    "version": _version,
    "archive": _archive,
    "sealed-archive": _sealed,
    "sputnik-meta": _meta,
    "sputnik-archive": _sputnik,
    "frozen": _frozen,
    "catalogue": _catalogue,
    "stimuli": _stimuli,
    "settings": _settings,
    "tar-headers": _tar_headers,
}


def corpus_of(target: str) -> list[Path]:
    """Give the kept inputs of a target: honest ones, poisoned ones, and those that once broke it."""
    return sorted(path for path in (CORPORA / target).iterdir() if path.is_file())


def attempt(target: str, data: bytes) -> bool:
    """Read some bytes; says whether they were understood. Anything but one of our errors is a bug, and raised."""
    try:
        TARGETS[target](data)
    except OrbitError:
        return False
    return True

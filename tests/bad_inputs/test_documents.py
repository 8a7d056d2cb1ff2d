"""The JSON documents that come from a repository, spoiled: contents of archives, and release records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orbitpkg.errors import ArchiveError, IntegrityError
from orbitpkg.model.contents import parse_contents
from orbitpkg.model.release import MAX_RECORD_BYTES, parse_release
from orbitpkg.model.versions import parse_version
from tests.bad_inputs.forgery import forge
from tests.records import RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPTIONAL = {"/description", "/license", "/compatibility", "/dependencies", "/keywords", "/metadata"}
# Objects whose keys and values are the author's: anything may be missing there.
FREE = ("/compatibility/", "/dependencies/", "/metadata/")


def read_contents(data: bytes) -> object:
    return parse_contents(data, what="the contents of it")


def read_record(data: bytes) -> object:
    return parse_release(data, name="model", version=parse_version("1.0.0"))


DOCUMENTS = {"contents": (forge().table, read_contents), "record": (RECORD, read_record)}


def fields(value: object, pointer: str = "") -> Iterator[str]:
    """Give the pointers of all fields of a document; of an array only the first."""
    members: list[tuple[object, object]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value[:1]))
    for key, member in members:
        yield f"{pointer}/{key}"
        yield from fields(member, f"{pointer}/{key}")


def changed(document: object, pointer: str, change: Callable[[Any, Any], None]) -> bytes:
    """Change a field of a copy of a document, given what holds it and its key there."""
    copy = json.loads(json.dumps(document))
    *parents, last = pointer.split("/")[1:]
    holder = copy
    for part in parents:
        holder = holder[int(part) if isinstance(holder, list) else part]
    change(holder, int(last) if isinstance(holder, list) else last)
    return json.dumps(copy).encode()


def value_at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part) if isinstance(document, list) else part]
    return document


@pytest.fixture(params=DOCUMENTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_documents_are_good_before_they_are_spoiled(kind: str) -> None:
    document, read = DOCUMENTS[kind]
    read(json.dumps(document).encode())


OTHERS: list[object] = [None, True, 7, 0.5, 1.0, "x", [], {}, [[]], {"a": 1}]
WRONG_TYPES = [
    pytest.param(kind, pointer, other, id=f"{kind}-{pointer}-{json.dumps(other)}")
    for kind, (document, _) in DOCUMENTS.items()
    for pointer in fields(document)
    for other in OTHERS
    if type(other) is not type(value_at(document, pointer)) and not pointer.startswith("/metadata/")
]


@pytest.mark.parametrize(("kind", "pointer", "value"), WRONG_TYPES)
def test_a_value_of_the_wrong_type_is_refused_and_placed(kind: str, pointer: str, value: object) -> None:
    document, read = DOCUMENTS[kind]
    data = changed(document, pointer, lambda holder, key: holder.__setitem__(key, value))
    with pytest.raises(IntegrityError) as caught:
        read(data)
    message = caught.value.message
    names = [part for part in pointer.split("/")[1:] if not part.isdigit()]
    assert names[-1] in message or value_at(document, pointer) == "package.json"


@pytest.mark.parametrize("document", [None, True, 1, 1.5, "x", [], [{}]], ids=json.dumps)
def test_a_document_that_is_not_an_object_is_refused(kind: str, document: object) -> None:
    with pytest.raises(IntegrityError):
        DOCUMENTS[kind][1](json.dumps(document).encode())


MISSING = [
    pytest.param(kind, pointer, id=f"{kind}-{pointer}")
    for kind, (document, _) in DOCUMENTS.items()
    for pointer in fields(document)
    if pointer not in OPTIONAL and not pointer.startswith(FREE) and not pointer.endswith("/0")
]


@pytest.mark.parametrize(("kind", "pointer"), MISSING)
def test_a_missing_field_is_refused_and_never_empty(kind: str, pointer: str) -> None:
    document, read = DOCUMENTS[kind]
    data = changed(document, pointer, lambda holder, key: holder.pop(key))
    with pytest.raises(IntegrityError, match=pointer.rpartition("/")[2]):
        read(data)


@pytest.mark.parametrize("pointer", ["/extra", "/files/extra", "/chunks/extra"])
def test_an_unknown_field_is_refused_in_contents(pointer: str) -> None:
    document, read = DOCUMENTS["contents"]
    with pytest.raises(ArchiveError, match="missing or unknown keys: extra"):
        read(changed(document, pointer, lambda holder, key: holder.__setitem__(key, 1)))


@pytest.mark.parametrize("pointer", ["/extra", "/archive/extra", "/contents/extra"])
def test_an_unknown_field_is_refused_in_a_record(pointer: str) -> None:
    with pytest.raises(IntegrityError, match="extra"):
        read_record(changed(RECORD, pointer, lambda holder, key: holder.__setitem__(key, 1)))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda text: text.replace("{", '{"format":1,', 1), 'duplicate key "format"', id="duplicate"),
        pytest.param(lambda text: text.replace('"format": 1', '"format": NaN'), "not a JSON number", id="nan"),
        pytest.param(
            lambda text: text.replace('"format": 1', '"format": Infinity'), "not a JSON number", id="infinity"
        ),
        pytest.param(lambda text: text.replace('"format": 1', '"format": 1e999'), "too large", id="huge-float"),
        pytest.param(lambda text: text.replace('"format": 1', f'"format": {"[" * 10_000}'), "nesting", id="depth"),
        pytest.param(lambda text: text.replace('"format": 1', f'"format": {"1" * 400}'), "400 digits", id="digits"),
        pytest.param(lambda text: text[:-1], "not valid JSON", id="cut-off"),
        pytest.param(lambda text: f"{text} {text}", "not valid JSON", id="two-documents"),
        pytest.param(lambda text: f"\ufeff{text}", "byte order mark", id="bom"),
        pytest.param(lambda text: text.replace("by hand", "by \\ud800"), "unpaired surrogate", id="lone-surrogate"),
        pytest.param(lambda _: "", "not valid JSON", id="empty"),
    ],
)
def test_json_that_readers_could_take_in_two_ways_is_refused(
    kind: str, spoil: Callable[[str], str], reason: str
) -> None:
    document, read = DOCUMENTS[kind]
    with pytest.raises(IntegrityError, match=reason):
        read(spoil(json.dumps(document)).encode())


def test_a_refusal_of_contents_is_one_of_their_archive() -> None:
    with pytest.raises(ArchiveError, match="he contents of it is not"):
        read_contents(b"\xff")


def test_a_newer_format_of_contents_gives_a_hint_to_upgrade() -> None:
    with pytest.raises(ArchiveError, match="has format 2; this version of orbitpkg supports format 1") as caught:
        read_contents(b'{"format": 2, "new": []}')
    assert "To upgrade orbitpkg" in str(caught.value)


class TestRecords:
    """A record is about the very release that was asked for, or refused."""

    @pytest.mark.parametrize(
        ("name", "version", "key"),
        [("other", "1.0.0", "model"), ("model", "2.0.0", "model"), ("model", "1.0.0-rc.1", "model")],
    )
    def test_a_record_of_another_release_is_refused(self, name: str, version: str, key: str) -> None:
        data = json.dumps({**RECORD, "name": name, "version": version}).encode()
        with pytest.raises(IntegrityError, match=f"record of {key} 1.0.0 describes {name} {version}"):
            read_record(data)

    def test_a_newer_format_gives_a_hint_to_upgrade(self) -> None:
        with pytest.raises(IntegrityError, match="has format 2; this version of orbitpkg supports format 1") as caught:
            read_record(b'{"format": 2, "name": "model", "version": "1.0.0", "new": []}')
        assert caught.value.hint is not None
        assert "To upgrade orbitpkg" in caught.value.hint

    @pytest.mark.parametrize("value", [0, -1, 1.0])
    def test_a_format_that_never_was_is_refused(self, value: float) -> None:
        with pytest.raises(IntegrityError, match="/format"):
            read_record(json.dumps({**RECORD, "format": value}).encode())

    def test_a_record_over_the_limit_is_refused(self) -> None:
        data = json.dumps({**RECORD, "metadata": {"a": "b" * MAX_RECORD_BYTES}}).encode()
        with pytest.raises(IntegrityError, match="too large: it has"):
            read_record(data)

    @pytest.mark.parametrize(
        ("pointer", "value"),
        [
            ("/name", "../model"),
            ("/name", "model\n"),
            ("/name", ""),
            ("/version", "1.0"),
            ("/version", "1.0.0\n"),
            ("/version", "1.0.0+build"),
            ("/archive/key", "releases/model/1.0.0.json"),
            ("/archive/key", "archives/model-1.0.0.tar.zst"),
            ("/archive/size", 0),
            ("/archive/size", -1),
            ("/archive/size", 2**63 - 1.0),
            ("/contents/offset", -1),
            ("/contents/length", 0),
            ("/contents/length", (128 << 20) + 1),
            ("/contents/raw_length", (512 << 20) + 1),
            ("/contents/blake3", "AB" * 32),
            ("/contents/blake3", "ab" * 31),
            ("/files", 0),
            ("/bytes", 0),
            ("/encoder", "\x1b[2J"),
            ("/published", "yesterday"),
            ("/published", "2026-01-31T12:00:00+01:00"),
        ],
    )
    def test_a_value_that_cannot_be_is_refused_and_placed(self, pointer: str, value: object) -> None:
        data = changed(RECORD, pointer, lambda holder, key: holder.__setitem__(key, value))
        with pytest.raises(IntegrityError, match=pointer):
            read_record(data)

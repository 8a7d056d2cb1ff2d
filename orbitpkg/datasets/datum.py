"""One registered file, as a value: what is known of it, and the name that follows from that.

A datum never changes. Its id is a digest of what it says, so that registering the same file with the same words again
(because a reply was lost, or a run was stopped) is the same datum, and rows of equal id can be taken for one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.model.jsontext import canonical_json
from orbitpkg.model.paths import path_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

__all__ = ["Datum", "name_problem", "new_datum", "parse_assignments", "parse_id", "parse_metadata_words"]

_ID = re.compile(r"[0-9a-f]{32}")
_ONLY_WINDOWS_MINDS = str.maketrans(dict.fromkeys(':*?"<>|', "_"))
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """A registered file.

    Attributes:
        id: 32 hexadecimal digits, which follow from what it is and what is said of it, not from when.
        name: The file's original name, ``/``-separated.
        size: In bytes.
        uri: Where its bytes are.
        registered: When, UTC.
        blake3: Of its bytes; None for an object that was indexed without being read.
        sha256: The same.
        etag: Of an object that was indexed in place, as the store spells it.
        version: The store's name for that state of the object, where it keeps versions.
        modified: When that object was written, UTC.
        tags: What the registrar says of it, in words.
        metadata: What it says of itself, JSON.
        lineage: The ids of the data it was made from.
        supersedes: The id of the datum whose object this one's replaced.
    """

    id: str
    name: str
    size: int
    uri: str
    registered: datetime
    blake3: str | None = None
    sha256: str | None = None
    etag: str | None = None
    version: str | None = None
    modified: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)
    lineage: tuple[str, ...] = ()
    supersedes: str | None = None

    @property
    def is_stored(self) -> bool:
        """Whether its bytes are in the repository, under their digest; else they lie where somebody else put them."""
        return self.etag is None and self.blake3 is not None


def new_datum(
    *,
    name: str,
    size: int,
    uri: str,
    registered: datetime,
    blake3: str | None = None,
    sha256: str | None = None,
    etag: str | None = None,
    version: str | None = None,
    modified: datetime | None = None,
    tags: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    lineage: Iterable[str] = (),
    supersedes: str | None = None,
) -> Datum:
    """Make a datum, and its id.

    Raises:
        ValueError: The metadata is not JSON.
    """
    from blake3 import blake3 as digest

    tags, metadata, lineage = dict(tags or {}), dict(metadata or {}), tuple(lineage)
    # A stored file is its bytes, wherever the bucket is; an object of others is a place and a state.
    place = [blake3]
    if etag is not None:
        # With what it took the place of: an object may be again what it was before, within one second.
        place += [uri, etag, version, modified.isoformat() if modified else None, supersedes]
    identity = canonical_json([name, size, place, tags, metadata, sorted(lineage)])
    return Datum(
        id=digest(identity).hexdigest()[:32],
        name=name,
        size=size,
        uri=uri,
        registered=registered,
        blake3=blake3,
        sha256=sha256,
        etag=etag,
        version=version,
        modified=modified,
        tags=tags,
        metadata=metadata,
        lineage=lineage,
        supersedes=supersedes,
    )


def name_problem(name: str) -> str | None:
    """Say why a name cannot be that of a datum, or None when it can: as of a path in a package, but for Windows' rules.

    Recordings are named for the time of day, with colons, and nobody renames a bucket. The answer completes the
    sentence "its name …".
    """
    if path_problem(name) is None:
        return None
    parts = name.translate(_ONLY_WINDOWS_MINDS).split("/")
    # Framed, a part is no device, and ends in neither a dot nor a space.
    return path_problem("/".join(part if part in {"", ".", ".."} else f"_{part}_" for part in parts))


def parse_id(word: str) -> str:
    """Give back the id of a datum, or its first digits.

    Raises:
        UsageError: It can be neither.
    """
    text = word.lower()
    if _ID.fullmatch(text.ljust(32, "0")) is None or len(text) < 6:  # noqa: PLR2004 - fewer match by chance
        kind = {40: "a SHA-1", 64: "a SHA-256 or a BLAKE3"}.get(len(text))
        why = f"it has the length of {kind} digest" if kind else "it is 6 to 32 hexadecimal digits"
        raise UsageError(
            f"{word[:80]!r} is not the id of a datum: {why}.",
            hint="Look a digest up: orbitpkg dataset query ID \"sha256 = '…'\"" if kind else None,
        )
    return text


def parse_assignments(words: Iterable[str], *, option: str) -> dict[str, str]:
    """Read ``KEY=VALUE`` words; a value may hold ``=``.

    Raises:
        UsageError: There is no ``=`` or no key, or one key has two values.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"{option} {word!r} is not of the form KEY=VALUE.", hint=f"Like {option} robot=sawyer")
        if found.get(key, value) != value:
            raise UsageError(f"{option} gives {key} two values: {found[key]!r} and {value!r}.")
        found[key] = value
    return found


def parse_metadata_words(words: Iterable[str], *, option: str) -> dict[str, object]:
    """Read ``KEY=VALUE`` words whose values are numbers, ``true``, ``false``, JSON objects or lists, or else texts.

    Raises:
        UsageError: As for :func:`parse_assignments`; or a value begins as a JSON object or list and is none.
    """
    return {key: _value(key, text) for key, text in parse_assignments(words, option=option).items()}


def _value(key: str, text: str) -> object:
    from orbitpkg.errors import IntegrityError
    from orbitpkg.model.jsontext import parse_json

    if text in {"true", "false"} or _NUMBER.fullmatch(text) or text[:1] in {"{", "["}:
        try:
            return parse_json(text.encode("utf-8", "surrogatepass"), what=f"the metadata {key}", max_bytes=2**24)
        except IntegrityError as error:
            raise UsageError(error.message) from None
    return text

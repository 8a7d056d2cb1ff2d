"""A registered file as a value: its facts and the id derived from them.

A datum never changes. Its id is a digest of its facts. Registering the same file with the same tags and metadata again,
for instance after an interruption, gives the same datum, so rows with equal ids are duplicates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.model.jsontext import canonical_json
from orbitpkg.model.paths import path_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

__all__ = [
    "Datum",
    "check_datum",
    "name_problem",
    "new_datum",
    "parse_assignments",
    "parse_id",
    "parse_metadata_words",
]

_ID = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ONLY_WINDOWS_MINDS = str.maketrans(dict.fromkeys(':*?"<>|', "_"))
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """A registered file.

    Attributes:
        id: 32 hexadecimal digits, derived from all facts except the times.
        name: The original file name, ``/``-separated.
        size: The size in bytes.
        uri: The address of the content.
        registered: The time of registration, UTC.
        blake3: The BLAKE3 of the content, or None for an object that was indexed without being read.
        sha256: The SHA-256 of the content, or None.
        etag: The ETag of an object that was indexed in place.
        version: The version id of that object, if the store keeps versions.
        modified: The modification time of that object, UTC.
        tags: The tags given at registration.
        metadata: The metadata of the file, as JSON values.
        lineage: The IDs of the data from which it was derived.
        supersedes: The id of the datum for an earlier state of the same object.
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
        """Whether the content is stored in the repository under its digest, instead of being indexed in place."""
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
    """Create a datum and compute its id.

    Raises:
        ValueError: The metadata cannot be represented in JSON.
    """
    from blake3 import blake3 as digest

    tags, metadata, lineage = dict(tags or {}), dict(metadata or {}), tuple(lineage)
    # A stored file is identified by its content, wherever the bucket is; an indexed object by its address and state.
    content = [blake3]
    if etag is not None:
        # The superseded datum matters, because an object can return to an earlier state within a second.
        content += [uri, etag, version, modified.isoformat() if modified else None, supersedes]
    identity = canonical_json([name, size, content, tags, metadata, sorted(lineage)])
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


def check_datum(datum: Datum) -> Datum:
    """Return a datum that someone else wrote, after checking its form and computing its id again.

    The id names files in the cache, so an id of another datum would replace the content of that one.

    Raises:
        IntegrityError: A field has the wrong type or form, or the id is not the digest of the other fields.
    """
    try:
        if _problem_of(datum) is None and _recomputed(datum) == datum.id:
            return datum
        flaw = _problem_of(datum) or "its id does not belong to its content"
    except (TypeError, ValueError, AttributeError):
        flaw = "a field has the wrong type"
    raise IntegrityError(f"The datum {str(datum.id)[:80]!r} is not valid: {flaw}.")


def _problem_of(datum: Datum) -> str | None:
    """Return what is wrong with the form of a datum, as a clause, or None."""
    texts = (datum.id, datum.name, datum.uri)
    optional = (datum.blake3, datum.sha256, datum.etag, datum.version, datum.supersedes)
    digests = [digest for digest in (datum.blake3, datum.sha256) if digest is not None]
    ids = [each for each in (datum.id, datum.supersedes, *datum.lineage) if each is not None]
    flaws = {
        "a field is not text": not all(isinstance(text, str) for text in texts)
        or not all(isinstance(text, str | None) for text in optional),
        "its size is not a number of bytes": type(datum.size) is not int or not 0 <= datum.size < 2**63,
        "an id is not 32 hexadecimal digits": any(_ID.fullmatch(each) is None for each in ids),
        "a digest is not 64 hexadecimal digits": any(_DIGEST.fullmatch(digest) is None for digest in digests),
        # Without either, nothing shows whether the content is the right one.
        "it has neither a digest nor an ETag": datum.blake3 is None and datum.etag is None,
    }
    return next((flaw for flaw, is_so in flaws.items() if is_so), None)


def _recomputed(datum: Datum) -> str:
    return new_datum(
        name=datum.name,
        size=datum.size,
        uri=datum.uri,
        registered=datum.registered,
        blake3=datum.blake3,
        etag=datum.etag,
        version=datum.version,
        modified=datum.modified,
        tags=datum.tags,
        metadata=datum.metadata,
        lineage=datum.lineage,
        supersedes=datum.supersedes,
    ).id


def name_problem(name: str) -> str | None:
    """Return why a name is not allowed for a datum, or None if it is allowed.

    The rules are those for paths in a package, without the Windows restrictions: recordings are often named after the
    time of day, with colons, and objects in a bucket cannot be renamed. The reason completes the sentence "its name …".
    """
    if path_problem(name) is None:
        return None
    parts = name.translate(_ONLY_WINDOWS_MINDS).split("/")
    # With a prefix and a suffix, a component cannot be a device name or end in a dot or a space.
    return path_problem("/".join(part if part in {"", ".", ".."} else f"_{part}_" for part in parts))


def parse_id(word: str) -> str:
    """Validate the id of a datum, or a prefix of at least 6 digits, and return it in lower case.

    Raises:
        UsageError: The word is not an id or a prefix of one.
    """
    text = word.lower()
    if _ID.fullmatch(text.ljust(32, "0")) is None or len(text) < 6:  # noqa: PLR2004 - fewer match by chance
        kind = {40: "SHA-1", 64: "SHA-256 or BLAKE3"}.get(len(text))
        reason = f"it looks like a {kind} digest" if kind else "an id has 6 to 32 hexadecimal digits"
        raise UsageError(
            f"{word[:80]!r} is not a valid datum id: {reason}.",
            hint="To search for the digest: orbitpkg dataset query ID \"sha256 = '…'\"" if kind else None,
        )
    return text


def parse_assignments(words: Iterable[str], *, option: str) -> dict[str, str]:
    """Parse ``KEY=VALUE`` words. A value can contain ``=``.

    Raises:
        UsageError: A word has no ``=`` or no key, or a key has two values.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"{option} {word!r} must have the form KEY=VALUE.", hint=f"Example: {option} robot=sawyer")
        if found.get(key, value) != value:
            raise UsageError(f"{option} sets {key} twice: to {found[key]!r} and {value!r}.")
        found[key] = value
    return found


def parse_metadata_words(words: Iterable[str], *, option: str) -> dict[str, object]:
    """Parse ``KEY=VALUE`` words. Values are numbers, ``true``, ``false``, JSON objects or lists, or else text.

    Raises:
        UsageError: As for :func:`parse_assignments`, or a value starts like a JSON object or list but is not valid.
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

"""Listings of a bucket: pages that are limited in size and number, and never repeat.

Sources: Amazon S3 API Reference, ListObjectsV2; AWS General Reference, "Signature Version 4 signing process".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree as ET

from orbitpkg.objects.answers import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orbitpkg.objects.paced_http import PageClient
    from orbitpkg.objects.s3_config import Keys

__all__ = ["MAX_LISTED", "ListedObject", "list_pages", "signed_headers"]

MAX_LISTED: Final = 5_000_000
"""The maximum number of objects in one listing: an endless one must not fill the memory."""

_MAX_EMPTY: Final = 1000
"""The maximum number of pages without entries in a row. Deleted objects of a versioned bucket make some."""

_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_UNRESERVED: Final = "-_.~"


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An entry of a listing, as the server reports it."""

    key: str
    size: int
    etag: str | None
    modified: datetime


def list_pages(
    client: PageClient,
    address: str,
    path: str,
    *,
    prefix: str,
    delimiter: str = "",
    region: str,
    keys: Callable[[], Keys] | None,
) -> Iterator[tuple[list[ListedObject], list[str]]]:
    """Yield the pages of a listing: objects, and common prefixes up to ``delimiter``.

    Args:
        client: The client of the server.
        address: The URL of the server, as scheme and host.
        path: The path of the bucket there, ``/`` or ``/BUCKET``.
        prefix: The beginning of all keys.
        delimiter: Groups the keys that continue after it.
        region: The region to sign for.
        keys: Returns the keys to sign a request with; None for unsigned requests.

    Raises:
        RefusalError: The server refused the request.
        AnswerError: The answers are not those of a correct server: they repeat, never end, or are not listings.
    """
    query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
    if delimiter:
        query["delimiter"] = delimiter
    seen: set[str] = set()
    listed = empty = 0
    while True:
        text = "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in sorted(query.items()))

        def headers(text: str = text) -> dict[str, str]:
            return signed_headers(address, path, text, region=region, keys=keys() if keys else None)

        objects, folders, token = _parse_page(client.get(f"{path}?{text}", headers), prefix)
        empty = empty + 1 if not objects and not folders else 0
        listed += len(objects) + len(folders)
        if listed > MAX_LISTED:
            raise AnswerError(f"it lists more than {MAX_LISTED:,} objects; list a directory of them")
        yield objects, folders
        if token is None:
            return
        if token in seen or empty > _MAX_EMPTY:
            raise AnswerError("its listing does not end")
        seen.add(token)
        query["continuation-token"] = token


def _escaped(text: str) -> str:
    return quote(text, safe=_UNRESERVED)


def _parse_page(body: bytes, prefix: str) -> tuple[list[ListedObject], list[str], str | None]:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise AnswerError("its answer is not a listing")
    try:
        root = ET.fromstring(body)  # noqa: S314 - without a document type there are no entities
        if _local(root.tag) != "ListBucketResult":
            raise AnswerError("its answer is not a listing")
        return _read_page(root, prefix)
    except (ET.ParseError, ValueError, TypeError, OverflowError):
        raise AnswerError("its answer is not a listing") from None


def _read_page(root: ET.Element, prefix: str) -> tuple[list[ListedObject], list[str], str | None]:
    fields: dict[str, str] = {}
    objects: list[ListedObject] = []
    folders: list[str] = []
    rows = [{_local(child.tag): child.text or "" for child in entry} for entry in root if len(entry)]
    names = [_local(entry.tag) for entry in root if len(entry)]
    fields = {_local(entry.tag): entry.text or "" for entry in root if not len(entry)}
    # S3 writes a space as "+".
    decode = unquote_plus if fields.get("EncodingType") == "url" else str
    for name, row in zip(names, rows, strict=True):
        if name == "Contents":
            objects.append(_object(decode(row["Key"]) if "Key" in row else None, row))
        elif name == "CommonPrefixes":
            folders.append(decode(row.get("Prefix", "")))
    if any(not key.startswith(prefix) for key in [*(found.key for found in objects), *folders]):
        raise AnswerError("it lists objects that were not requested")
    more = fields.get("IsTruncated", "").strip().lower() == "true"
    return objects, folders, fields.get("NextContinuationToken") if more else None


def _object(key: str | None, row: Mapping[str, str]) -> ListedObject:
    if key is None:
        raise ValueError("an entry has no key")
    size = int(row["Size"]) if row.get("Size", "").isdecimal() else -1
    if not 0 <= size < 1 << 63:
        raise ValueError("an entry has no valid size")
    modified = datetime.fromisoformat(row.get("LastModified", "").strip())
    return ListedObject(
        key, size, row.get("ETag") or None, modified if modified.tzinfo else modified.replace(tzinfo=UTC)
    )


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def signed_headers(address: str, path: str, query: str, *, region: str, keys: Keys | None) -> dict[str, str]:
    """Return the headers of a GET request without a body.

    Args:
        address: The URL of the server, as scheme and host.
        path: The path, percent-encoded.
        query: The query, percent-encoded, its parameters sorted by name.
        region: The region to sign for.
        keys: The keys to sign with; None for unsigned requests.
    """
    host = urlsplit(address).netloc
    if keys is None:
        return {"host": host}
    now = datetime.now(UTC)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": _EMPTY_SHA256, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{path}\n{query}\n{lines}\n{names}\n{_EMPTY_SHA256}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers

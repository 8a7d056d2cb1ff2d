"""The addresses of repositories, as people write them, taken apart. Pure: nothing is asked or opened.

``file:///dir``, ``s3://bucket[/prefix]``, ``https://host[/dir]``, ``http://host[/dir]``, ``memory://name``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import unquote, urlsplit

from orbitpkg.errors import UsageError
from orbitpkg.files.tilde import expanded
from orbitpkg.objects.protocol import is_valid_key

__all__ = ["Address", "Scheme", "parse_address"]

Scheme = Literal["file", "s3", "https", "http", "memory"]

_SCHEMES: Final[tuple[Scheme, ...]] = get_args(Scheme)
_FORMS: Final = "file:///directory, s3://bucket/prefix, https://host/directory or memory://name"
# S3's own rule (Amazon S3 User Guide, "Bucket naming rules"), widened by what older buckets and other stores allow.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a store is.

    Attributes:
        scheme: What kind of store.
        place: The bucket of ``s3``, the absolute path of ``file``, the name of ``memory``; of ``https`` and ``http``
            the URL without its user part and without a slash at the end.
        prefix: What stands before every key in the bucket, without slashes at its ends; empty for the others.
        user: The user part of an ``https`` or ``http`` URL (``name:password``, decoded); None without one.
    """

    scheme: Scheme
    place: str
    prefix: str = ""
    user: str | None = None

    def __repr__(self) -> str:
        # The user part may hold a password, and reprs end up in logs.
        return f"Address({self.scheme!r}, {self.place!r}, {self.prefix!r})"


def parse_address(url: str) -> Address:
    """Take an address apart.

    Raises:
        UsageError: It is none of the forms above; the message never repeats a password.
    """
    scheme, colon, rest = url.partition("://")
    match scheme.lower():
        case "file" if colon:
            return _directory(url, rest)
        case "s3" if colon:
            return _bucket(url, rest)
        case "https" | "http" if colon:
            return _web(url)
        case "memory" if colon:
            return _memory(url, rest)
    raise UsageError(f"{_shown(url)} is not the address of a repository.", hint=_advice(url), url=_shown(url))


def _directory(url: str, rest: str) -> Address:
    host, _, path = rest.partition("/")
    if host not in ("", "localhost"):
        absolute = Path(unquote(rest)).absolute().as_uri()
        raise UsageError(
            f"{url} names the host {host!r}; a file:// address has three slashes and an absolute path.",
            hint=f"Did you mean {absolute}?",
            url=url,
        )
    directory = unquote(f"/{path}")
    if "\0" in directory:
        raise UsageError(f"{url!r} holds a NUL character.", url=url)
    return Address(scheme="file", place=directory)


def _bucket(url: str, rest: str) -> Address:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise UsageError(
            "An s3:// address must not hold credentials.",
            hint="Put them in a profile (aws configure) or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{url} does not name a bucket: {bucket!r} cannot be one.", hint=f"Write {_FORMS}.", url=url)
    prefix = prefix.strip("/")
    # A "?" is legal in a key, but here it is a query that somebody expects to be obeyed.
    if prefix and (not is_valid_key(prefix) or "?" in prefix or "#" in prefix):
        said = re.split(r"[?#]", prefix)[0]  # what follows may be a signature
        raise UsageError(
            f"{url}: what follows {said!r} cannot be part of a prefix of keys."
            if said != prefix
            else f"{url}: {prefix!r} cannot be the prefix of keys.",
            hint="Use plain path parts.",
            url=url,
        )
    return Address(scheme="s3", place=bucket, prefix=prefix)


def _web(url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{_shown(url)} is not a URL: {error}.", url=_shown(url)) from None
    if not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{_shown(url)} must be a host and a directory, without a query.", url=_shown(url))
    user, at, host = parts.netloc.rpartition("@")
    del port
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    return Address(
        scheme=scheme, place=f"{scheme}://{host}{parts.path.rstrip('/')}", user=unquote(user) if at else None
    )


def _memory(url: str, rest: str) -> Address:
    name = rest.strip("/")
    if not name or not is_valid_key(name):
        raise UsageError(f"{url} names no store in memory.", hint="Write memory://name.", url=url)
    return Address(scheme="memory", place=name)


def _advice(url: str) -> str:
    scheme, slashes, rest = url.partition("//")
    if slashes and scheme.lower() in _SCHEMES:
        return f"Did you mean {scheme.lower()}://{_shown(rest)}?"
    scheme, colon, rest = url.partition(":")
    if not colon or "/" in scheme or scheme.startswith((".", "~")):
        return f"For a directory write {expanded(url).absolute().as_uri()}"
    if scheme.lower() in _SCHEMES:
        start = "file:///" if scheme.lower() == "file" else f"{scheme.lower()}://"
        return f"Did you mean {start}{_shown(rest.lstrip('/'))}?"
    import difflib

    near = {"s3a": "s3", "s3n": "s3", "ftp": "https", "mem": "memory"}.get(scheme.lower())
    names = [near] if near else difflib.get_close_matches(scheme.lower(), _SCHEMES, n=1)
    return (f"Did you mean {names[0]}://? " if names else "") + f"Write {_FORMS}."


def _shown(url: str) -> str:
    """Give ``url`` without a user part, for a message."""
    return re.sub(r"(://|^)[^/@]*@", r"\1", url)

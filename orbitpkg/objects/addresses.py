"""Addresses of object stores and of single objects, parsed in one place. Pure: no store is opened or queried.

A store has an address such as ``file:///dir``, ``s3://bucket[/prefix]``, ``https://host[/dir]``, ``http://host[/dir]``
or ``memory://name``. An object has the address of a store followed by its key: ``s3://bucket/key``. Keys in ``https``,
``http`` and ``file`` addresses are percent-encoded (RFC 3986, section 2.1); others are written as they are.

A scheme may consist of a format and a transport, joined by ``+``: ``sputnik+https``. Schemes other than the built-in
ones belong to plug-ins; see ``orbitpkg.objects.registry``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from orbitpkg.errors import UsageError
from orbitpkg.files.names import text_path
from orbitpkg.files.tilde import expand_home
from orbitpkg.objects.protocol import MAX_KEY_BYTES, is_valid_key
from orbitpkg.redaction import redacted

__all__ = [
    "Address",
    "BuiltinScheme",
    "PathOrUri",
    "join_uri",
    "local_path_of",
    "parse_address",
    "scheme_of",
    "split_object_uri",
    "split_uri",
    "transport_of",
]

BuiltinScheme = Literal["file", "s3", "https", "http", "memory"]
PathOrUri: TypeAlias = str | os.PathLike[str]
"""A URI or a local path, as callers pass it."""

_BUILTIN: Final[tuple[BuiltinScheme, ...]] = get_args(BuiltinScheme)
_FORMS: Final = "file:///directory, s3://bucket/prefix, https://host/directory or memory://name"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}")
# S3's own rule (Amazon S3 User Guide, "Bucket naming rules"), widened to what older buckets and other stores allow.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
# What pathlib makes of a URI: Path("s3://bucket/key") is "s3:/bucket/key".
_BROKEN: Final = re.compile(rf"({'|'.join(_BUILTIN)}):/(?!/)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The parsed address of a store with a built-in scheme.

    Attributes:
        scheme: The kind of store.
        location: The bucket of ``s3``, the absolute path of ``file``, the name of ``memory``; for ``https`` and
            ``http`` the URL without its user part and without a trailing slash.
        prefix: The prefix of every key in an ``s3`` bucket, without leading or trailing slashes; otherwise empty.
        user: The decoded user part of an ``https`` or ``http`` URL (``name:password``), or None.
    """

    scheme: BuiltinScheme
    location: str
    prefix: str = ""
    user: str | None = None

    def __repr__(self) -> str:
        # The user part may hold a password, and reprs end up in logs.
        return f"Address({self.scheme!r}, {self.location!r}, {self.prefix!r})"


class _Parts(NamedTuple):
    scheme: str
    rest: str


def scheme_of(url: str) -> str | None:
    """Return the scheme of an address in lower case, or None if the text does not begin with ``SCHEME://``."""
    parts = _split(url)
    return parts.scheme if parts else None


def transport_of(scheme: str) -> str:
    """Return the transport of a scheme: ``https`` for both ``https`` and ``sputnik+https``."""
    return scheme.rpartition("+")[2]


def _split(url: str) -> _Parts | None:
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return None
    return _Parts(scheme.lower(), rest)


def parse_address(url: str) -> Address:
    """Parse the address of a store that has a built-in scheme.

    Raises:
        UsageError: The text is not such an address. The message never repeats a password.
    """
    parts = _split(url)
    match parts.scheme if parts else None:
        case "file":
            return _parse_directory(url)
        case "s3":
            return _parse_bucket(url)
        case "https" | "http":
            return _parse_web(url)
        case "memory":
            return _parse_memory(url)
    raise UsageError(f"{_shown(url)} is not a valid repository address.", hint=_advice(url), url=_shown(url))


def _parse_directory(url: str) -> Address:
    rest = url.partition("://")[2]
    host, _, path = rest.partition("/")
    if host not in ("", "localhost"):
        absolute = Path(_unquote_path(rest)).absolute().as_uri()
        raise UsageError(
            f"{url} contains the host {host!r}; a file:// address has three slashes and an absolute path.",
            hint=f"Did you mean {absolute}?",
            url=url,
        )
    directory = _unquote_path(f"/{path}")
    if "\0" in directory:
        raise UsageError(f"{url!r} contains a NUL character.", url=url)
    return Address(scheme="file", location=directory)


def _unquote_path(quoted: str) -> str:
    # The bytes of a path need not be UTF-8, as on disks that were written with another code page.
    return os.fsdecode(unquote_to_bytes(quoted.encode("utf-8", "surrogateescape")))


def _parse_bucket(url: str) -> Address:
    bucket, _, prefix = url.partition("://")[2].partition("/")
    if "@" in bucket:
        raise UsageError(
            "An s3:// address must not contain credentials.",
            hint="Put them in a profile (aws configure) or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{url}: {bucket!r} is not a valid bucket name.",
            hint="Bucket names have 3 to 63 lowercase letters, digits, dots and hyphens.",
            url=url,
        )
    prefix = prefix.strip("/")
    # A "?" is legal in a key, but in an address it looks like a query, which would be ignored.
    if prefix and (not is_valid_key(prefix) or "?" in prefix or "#" in prefix):
        valid = re.split(r"[?#]", prefix)[0]
        raise UsageError(
            # What follows a "?" may be a signature, so it is not repeated.
            f"{url}: the part after {valid!r} is not valid in a prefix."
            if valid != prefix
            else f"{url}: {prefix!r} is not a valid prefix.",
            hint="Use plain path parts.",
            url=url,
        )
    return Address(scheme="s3", location=bucket, prefix=prefix)


def _parse_web(url: str) -> Address:
    parts = _split_web(url)
    if not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{_shown(url)} must consist of a host and a directory, without a query.", url=_shown(url))
    user, at, host = parts.netloc.rpartition("@")
    scheme: BuiltinScheme = "https" if parts.scheme == "https" else "http"
    return Address(
        scheme=scheme, location=f"{scheme}://{host}{parts.path.rstrip('/')}", user=unquote(user) if at else None
    )


def _split_web(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # Raises ValueError for a port that is not a number below 65,536.
    except ValueError as error:
        raise UsageError(f"{_shown(url)} is not a valid URL: {error}.", url=_shown(url)) from None
    return parts


def _parse_memory(url: str) -> Address:
    name = url.partition("://")[2].strip("/")
    if not name or not is_valid_key(name):
        raise UsageError(f"{url} is not a valid memory:// address.", hint="Write memory://name.", url=url)
    return Address(scheme="memory", location=name)


def _advice(url: str) -> str:
    scheme, slashes, rest = url.partition("//")
    if slashes and scheme.lower() in _BUILTIN:
        return f"Did you mean {scheme.lower()}://{_shown(rest)}?"
    scheme, colon, rest = url.partition(":")
    if not colon or "/" in scheme or scheme.startswith((".", "~")):
        path = expand_home(url)
        return (
            f"For a directory, {f'write {path.as_uri()}' if path.is_absolute() else f'start the path with ./: ./{url}'}"
        )
    if scheme.lower() in _BUILTIN:
        start = "file:///" if scheme.lower() == "file" else f"{scheme.lower()}://"
        return f"Did you mean {start}{_shown(rest.lstrip('/'))}?"
    import difflib

    # By spelling alone, http would be suggested for ftp, which is another protocol.
    near = {"s3a": "s3", "s3n": "s3", "ftp": "", "ftps": "", "mem": "memory"}.get(scheme.lower())
    names = [near] if near is not None else difflib.get_close_matches(scheme.lower(), _BUILTIN, n=1)
    if not any(names):
        return f"Write {_FORMS}."
    return f"Did you mean {names[0]}://{_shown(rest.lstrip('/'))}?"


def _shown(url: str) -> str:
    """Return ``url`` without its user part and its query, either of which may be secret."""
    return redacted(re.sub(r"(://|^)[^/@]*@", r"\1", url))


def split_uri(uri: PathOrUri) -> tuple[str, str]:
    """Split an address into that of a store, for ``orbitpkg.objects.open_store``, and a key.

    The key may be empty or end in a slash, as the common beginning of several keys; ``split_object_uri`` refuses such
    keys. The store of ``file:///dir/name`` is the directory ``file:///dir``.

    Raises:
        UsageError: The text is not the address of an object, or it went through ``pathlib.Path``.
    """
    text = _text_of(uri)
    parts = _split(text)
    if parts is None:
        raise _not_an_object(text)
    match parts.scheme:
        case "https" | "http":
            return _split_web_uri(text)
        case "file":
            folder, _, key = parse_address(text).location.rpartition("/")
            return Path(folder or "/").as_uri(), text_path(key)
        case scheme:
            location, _, key = parts.rest.partition("/")
            store = f"{scheme}://{location}"
            if scheme in _BUILTIN:
                parse_address(store)
            elif not _is_plugin(scheme):
                raise _not_an_object(text)
            return store, key


def _is_plugin(scheme: str) -> bool:
    from orbitpkg.objects.registry import find_plugin, find_registered

    return (find_registered(scheme) or find_plugin(scheme)) is not None


def _not_an_object(text: str) -> UsageError:
    return UsageError(
        f"{redacted(text)!r} is not a valid object address.",
        hint="Write s3://bucket/key, https://host/name, file:///dir/name or memory://name/key.",
    )


def _split_web_uri(text: str) -> tuple[str, str]:
    parts = _split_web(text)
    if parts.query or parts.fragment:
        raise UsageError(
            f"{redacted(text)} has a query or a fragment, which is not part of a name.",
            hint="Remove it, or write ? as %3F and # as %23 if they belong to the name.",
        )
    store = f"{parts.scheme}://{parts.netloc}"
    parse_address(store)
    return store, unquote(parts.path.removeprefix("/"), errors="surrogateescape")


def split_object_uri(uri: PathOrUri) -> tuple[str, str]:
    """Split the address of one object; see ``split_uri``.

    Raises:
        UsageError: The text is not the address of an object, or its key is missing or invalid.
    """
    store, key = split_uri(uri)
    if is_valid_key(key):
        return store, key
    shown = redacted(_text_of(uri))
    if not key:
        raise UsageError(f"{shown} does not name an object.", hint=f"Add its key: {shown.rstrip('/')}/KEY")
    if key.endswith("/") and is_valid_key(key.rstrip("/")):
        raise UsageError(f"{shown} is a directory, not an object.", hint="Remove the slash at the end, or list it.")
    raise UsageError(f"The key of {shown[:200]!r} is not valid: {_problem_of(key)}.")


def _problem_of(key: str) -> str:
    if len(key.encode(errors="replace")) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    if any(part in (".", "..") for part in key.split("/")):
        return "it has a part '.' or '..'"
    if "//" in key or key.startswith("/"):
        return "it has an empty part between two slashes"
    return "it has a backslash, a control character or an invisible one"


def join_uri(store: str, key: str) -> str:
    """Return the address of an object: the inverse of ``split_uri``."""
    if scheme_of(store) in ("https", "http", "file"):
        return f"{store.rstrip('/')}/{quote(key, errors='surrogateescape')}"
    return f"{store.rstrip('/')}/{key}"


def local_path_of(word: PathOrUri) -> Path | None:
    """Return the local path that a word refers to, or None if it is the address of a remote object.

    Raises:
        UsageError: The word is empty, went through ``pathlib.Path``, or has an unknown scheme.
    """
    text = _text_of(word)
    scheme, colon, _ = text.partition("://")
    if not colon or "/" in scheme or isinstance(word, PurePath):
        return expand_home(text)
    if scheme.lower() == "file":
        return Path(parse_address(text).location)
    split_uri(text)
    return None


def _text_of(word: PathOrUri) -> str:
    text = os.fspath(word)
    if not isinstance(text, str):
        raise UsageError(f"{word!r} is neither a URI nor a path.", hint="Pass it as a str.")
    if broken := _BROKEN.match(text):
        scheme, _, rest = text.partition(":/")
        is_path = isinstance(word, PurePath)
        lost = "pathlib.Path has removed a slash" if is_path else "a slash is missing"
        advice = "Pass the URI as a str:" if is_path else "Did you mean"
        slashes = ":///" if broken[1].lower() == "file" else "://"
        raise UsageError(
            f"{redacted(text)} is not a valid URI: {lost}.",
            hint=f"{advice} {redacted(f'{scheme}{slashes}{rest}')}{'' if is_path else '?'}",
        )
    if not text:
        raise UsageError("A URI or a path is missing: an empty text was given.")
    if "\0" in text:
        raise UsageError(f"{text!r} contains a NUL character.")
    return text

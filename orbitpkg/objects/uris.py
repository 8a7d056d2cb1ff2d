"""The addresses of single objects, as people write them: which store, and which key in it. Pure.

``s3://bucket/key``, ``https://host/dir/name``, ``memory://name/key``, ``file:///dir/name``; and paths of local files,
which are no addresses. A key of ``s3`` is taken as it is written; that of a URL is decoded (RFC 3986, section 2.1).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from orbitpkg.errors import UsageError
from orbitpkg.files.tilde import expanded
from orbitpkg.objects.addresses import parse_address
from orbitpkg.objects.protocol import MAX_KEY_BYTES, is_valid_key
from orbitpkg.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Word", "join_uri", "local_path_of", "split_object_uri", "split_uri"]

Word: TypeAlias = str | os.PathLike[str]
"""What callers say: a URI, or a local path."""

_SCHEMES: Final = ("s3", "https", "http", "memory", "file")
# What pathlib makes of a URI: Path("s3://bucket/key") is "s3:/bucket/key".
_BROKEN: Final = re.compile(rf"({'|'.join(_SCHEMES)}):/(?!/)", re.IGNORECASE)


def split_uri(uri: Word) -> tuple[str, str]:
    """Take an address apart into that of its store, for ``orbitpkg.objects.open_store``, and a key.

    The key may be empty or end in a slash, as the beginning of several keys; ``split_object_uri`` refuses those. The
    store of ``file:///dir/name`` is the folder ``file:///dir``.

    Raises:
        UsageError: It is no address of a store that can be opened, or one that went through ``pathlib.Path``.
    """
    text = _text_of(uri)
    scheme, colon, rest = text.partition("://")
    match scheme.lower():
        case "s3" | "memory" if colon:
            place, _, key = rest.partition("/")
            store = f"{scheme.lower()}://{place}"
            parse_address(store)
        case "https" | "http" if colon:
            store, key = _split_web(text)
        case "file" if colon:
            folder, _, key = parse_address(text).place.rpartition("/")
            store = Path(folder or "/").as_uri()
        case _:
            raise UsageError(
                f"{redacted(text)!r} is no address of an object.",
                hint="Write s3://bucket/key, https://host/name, file:///dir/name or memory://name/key.",
            )
    return store, key


def _split_web(text: str) -> tuple[str, str]:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise UsageError(f"{redacted(text)} is not a URL: {error}.") from None
    if parts.query or parts.fragment:
        raise UsageError(
            f"{redacted(text)} has a query or a fragment, which is no part of a name.",
            hint="Leave it out, or write ? as %3F and # as %23 if they belong to the name.",
        )
    store = f"{parts.scheme}://{parts.netloc}"
    parse_address(store)
    return store, unquote(parts.path.removeprefix("/"))


def split_object_uri(uri: Word) -> tuple[str, str]:
    """Take the address of one object apart; see ``split_uri``.

    Raises:
        UsageError: It is none, its key is missing, or one that not every store can hold under that very name.
    """
    store, key = split_uri(uri)
    if is_valid_key(key):
        return store, key
    shown = redacted(_text_of(uri))
    if not key:
        raise UsageError(f"{shown} names no object.", hint=f"Write its key after it: {shown.rstrip('/')}/KEY")
    if key.endswith("/") and is_valid_key(key.rstrip("/")):
        raise UsageError(f"{shown} is a folder, not an object.", hint="Leave out the slash at its end, or list it.")
    raise UsageError(f"The key of {shown[:200]!r} cannot be used: {_fault(key.split('/'), key)}.")


def _fault(parts: Iterable[str], key: str) -> str:
    if len(key.encode(errors="replace")) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    if any(part in (".", "..") for part in parts):
        return "it has a part '.' or '..'"
    if "//" in key or key.startswith("/"):
        return "it has an empty part, between two slashes"
    return "it has a backslash, a control character or one that cannot be seen"


def join_uri(store: str, key: str) -> str:
    """Give the address of an object: the inverse of ``split_uri``."""
    if store.partition("://")[0] in ("s3", "memory"):
        return f"{store.rstrip('/')}/{key}"
    return f"{store.rstrip('/')}/{quote(key)}"


def local_path_of(word: Word) -> Path | None:
    """Give the local path that a word means; None when it is the address of something elsewhere.

    Raises:
        UsageError: It is a URI that went through ``pathlib.Path``, empty, or of a scheme that nobody knows.
    """
    text = _text_of(word)
    scheme, colon, _ = text.partition("://")
    if not colon or "/" in scheme or isinstance(word, PurePath):
        return expanded(text)
    if scheme.lower() == "file":
        return Path(parse_address(text).place)
    split_uri(text)
    return None


def _text_of(word: Word) -> str:
    text = os.fspath(word)
    if not isinstance(text, str):
        raise UsageError(f"{word!r} is neither a URI nor a path.", hint="Give it as a str.")
    if broken := _BROKEN.match(text):
        scheme, _, rest = text.partition(":/")
        is_path = isinstance(word, PurePath)
        lost = "pathlib.Path has taken a slash out of it" if is_path else "a slash is missing"
        said = "Give the URI as a str:" if is_path else "Did you mean"
        slashes = ":///" if broken[1].lower() == "file" else "://"
        raise UsageError(
            f"{redacted(text)} is no URI: {lost}.",
            hint=f"{said} {redacted(f'{scheme}{slashes}{rest}')}{'' if is_path else '?'}",
        )
    if not text:
        raise UsageError("A URI or a path is missing: an empty text was given.")
    if "\0" in text:
        raise UsageError(f"{text!r} holds a NUL character.")
    return text

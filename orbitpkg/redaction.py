"""Leaving out of a text what may be secret in the addresses it holds.

A password or a key stands before the host (``https://user:password@host``, RFC 3986, section 3.2.1), a signature in the
query (a presigned URL's). Neither belongs to the address of a repository, and none is taken with one; but people paste
them, and what they pasted is then told in an error, shown in a list, kept in a log.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["redacted", "redacted_data"]

# Neither part may hold a quotation mark or a backslash, so that JSON stays JSON. The length of a scheme is bounded, so
# that a text takes time in proportion to its length.
_USER = r"([A-Za-z][A-Za-z0-9+.-]{0,31}:/{1,3})[^\s/?#\"\\]*@"
_QUERY = r"([A-Za-z][A-Za-z0-9+.-]{0,31}://?[^\s?#\"\\]*)[?#](?!…|\\u2026)[^\s\"\\]*"


def redacted(text: str) -> str:
    """Give a text whose addresses hold no user, password, query or fragment; an ellipsis stands for them."""
    if ":/" not in text or not ("@" in text or "?" in text or "#" in text):
        return text
    import re

    return re.sub(_QUERY, r"\1?…", re.sub(_USER, r"\1…@", text))


def redacted_data(value: Any) -> Any:
    """Do the same to all texts of a JSON value."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted(key): redacted_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_data(each) for each in value]
    return value

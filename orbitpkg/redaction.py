"""Removes possible secrets from the URLs in a text.

A URL can hold a password or key before its host (``https://user:password@host``, RFC 3986, section 3.2.1) and a
signature in its query (a presigned URL). The URL of a repository may contain neither, but users paste such URLs, and
error messages, lists and logs would repeat them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["redacted", "redacted_data"]

# Quotation marks and backslashes end a match, which keeps JSON valid. The length of a scheme is limited, and a URL is
# matched to its end, to keep the search linear in the length of the text.
_USER = r"([A-Za-z][A-Za-z0-9+.-]{0,31}:/{1,3})[^\s/?#\"\\]*@"
_URL = r"[A-Za-z][A-Za-z0-9+.-]{0,31}://?[^\s\"\\]*+"


def redacted(text: str) -> str:
    """Return the text with an ellipsis in place of each user, password, query and fragment in its URLs."""
    if ":/" not in text or not ("@" in text or "?" in text or "#" in text):
        return text
    import re

    return re.sub(_URL, lambda url: _without_query(url[0]), re.sub(_USER, r"\1…@", text))


def _without_query(url: str) -> str:
    end = next((at for at, char in enumerate(url) if char in "?#"), len(url))
    # A question mark at the end of a sentence is not a query.
    return f"{url[:end]}?…" if len(url) > end + 1 and url[end + 1] != "…" else url


def redacted_data(value: Any) -> Any:
    """Return the JSON value with all its texts redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted(key): redacted_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_data(each) for each in value]
    return value

"""TOML text of limited cost.

``tomllib`` takes memory and time that grow with the square of the number of parts in a dotted key: 40 kB of ``a.a.a…``
take 1.5 GiB. Such keys are refused before the text is parsed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MAX_KEY_PARTS", "check_keys", "load_toml"]

MAX_KEY_PARTS = 16
"""The maximum number of parts in a dotted key. orbitpkg's own settings have up to four."""

# TOML 1.0: strings and comments, which may contain any number of dots. An unclosed one extends to the end of the line
# or text. Nothing is matched twice, so the search takes linear time.
_OPAQUE = (
    r'"""(?:[^"\\]|\\.?|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.?)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
)
_LONG_KEY = rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{MAX_KEY_PARTS}}}"


def check_keys(text: str) -> None:
    """Check the dotted keys of a TOML text before it is parsed.

    Raises:
        ValueError: A key has too many parts.
    """
    if text.count(".") < MAX_KEY_PARTS:
        return
    import re

    # A quoted part of a key counts like any other.
    bare = re.sub(_OPAQUE, lambda found: "\n" if found[0][0] == "#" else "s", text, flags=re.DOTALL)
    found = re.search(_LONG_KEY, bare)
    if found:
        raise ValueError(f"a key that starts with {found[0][:20]!r} has more than {MAX_KEY_PARTS} parts")


def load_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: The text is not valid TOML, has a number with too many digits, or a key with too many parts.
        RecursionError: The nesting is too deep.
    """
    import tomllib

    check_keys(text)
    return tomllib.loads(text)

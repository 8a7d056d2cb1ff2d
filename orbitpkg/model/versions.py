"""Versions of packages: SemVer 2.0.0 with exactly three numbers, an optional pre-release, and no build metadata.

Build metadata (``+…``) is refused because it has no precedence: two releases that differ only there could not be
ordered. The order is that of https://semver.org/spec/v2.0.0.html#spec-item-11, and is tested against the
``semantic_version`` library, which takes 33 ms to import and is therefore not used here: this module is on the path
of an app that starts. For the same reason: no ``re``, ``typing`` or ``dataclasses``, and the errors only to raise one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from orbitpkg.errors import UsageError

__all__ = ["MAX_VERSION_LENGTH", "Immutable", "Version", "is_identifier", "is_number", "next_free", "parse_version"]

MAX_VERSION_LENGTH = 128
"""Characters; with the longest name and a digest this still fits the 255 bytes of a file name."""

_IDENTIFIER_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_PARTS = 3


class Immutable:
    """A value whose attributes are set once, by its constructor through ``object.__setattr__``.

    Stands in for a frozen dataclass where importing ``dataclasses`` (10 ms) would be felt.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")


class Version(Immutable):
    """A version, ordered by SemVer's precedence; immutable and hashable.

    Made from text by :func:`parse_version`; the constructor trusts what it is given.

    Attributes:
        major: The first number.
        minor: The second.
        patch: The third.
        prerelease: The identifiers after the ``-``, as written; empty for a release.
        precedence: What versions are compared by; a tuple that begins with the three numbers.
    """

    __slots__ = ("major", "minor", "patch", "precedence", "prerelease")

    precedence: tuple[object, ...]
    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...]

    def __init__(self, major: int, minor: int, patch: int, prerelease: tuple[str, ...] = ()) -> None:
        put = object.__setattr__
        put(self, "major", major)
        put(self, "minor", minor)
        put(self, "patch", patch)
        put(self, "prerelease", prerelease)
        put(self, "precedence", (major, minor, patch, _precedence(prerelease)))

    @property
    def is_prerelease(self) -> bool:
        """Whether this comes before the release of the same three numbers."""
        return bool(self.prerelease)

    def __reduce__(self) -> tuple[type[Version], tuple[int, int, int, tuple[str, ...]]]:
        return Version, (self.major, self.minor, self.patch, self.prerelease)

    def __str__(self) -> str:
        numbers = f"{self.major}.{self.minor}.{self.patch}"
        return f"{numbers}-{'.'.join(self.prerelease)}" if self.prerelease else numbers

    def __repr__(self) -> str:
        return f"Version({str(self)!r})"

    def __hash__(self) -> int:
        return hash(self.precedence)

    def __eq__(self, other: object) -> bool:
        return self.precedence == other.precedence if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self.precedence < other.precedence if isinstance(other, Version) else NotImplemented

    def __le__(self, other: Version) -> bool:
        return self.precedence <= other.precedence if isinstance(other, Version) else NotImplemented

    def __gt__(self, other: Version) -> bool:
        return self.precedence > other.precedence if isinstance(other, Version) else NotImplemented

    def __ge__(self, other: Version) -> bool:
        return self.precedence >= other.precedence if isinstance(other, Version) else NotImplemented


def parse_version(text: str) -> Version:
    """Read a version such as ``2.0.0`` or ``2.1.0-rc.1``.

    Raises:
        UsageError: It is not one; the message says why, the hint what was probably meant. ``data["reason"]`` is the
            why alone.
    """
    version = _read(text)
    if version is None:
        raise _refusal(text)
    return version


def next_free(version: Version, taken: Iterable[Version]) -> Version:
    """The first version after ``version``, of the same kind, that is not in ``taken``.

    A release goes on by its patch number, a pre-release by its last number (``rc.1`` → ``rc.2``, ``beta`` →
    ``beta.1``).
    """
    used = set(taken)
    while True:
        version = _successor(version)
        if version not in used:
            return version


def is_number(text: str) -> bool:
    """Whether ``text`` is a number of a version: digits without a leading zero."""
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def is_identifier(text: str) -> bool:
    """Whether ``text`` may stand between the dots of a pre-release."""
    if not text or not _IDENTIFIER_CHARACTERS.issuperset(text):
        return False
    return not text.isdigit() or is_number(text)


def _precedence(prerelease: tuple[str, ...]) -> tuple[object, ...]:
    """A release sorts after its pre-releases; numbers before words; a shorter list before one it begins."""
    if not prerelease:
        return (1,)
    return (0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in prerelease))


def _successor(version: Version) -> Version:
    if not version.prerelease:
        from semantic_version import Version as Reference

        return parse_version(str(Reference(str(version)).next_patch()))
    *first, last = version.prerelease
    tail = (str(int(last) + 1),) if last.isdigit() else (last, "1")
    return Version(version.major, version.minor, version.patch, (*first, *tail))


def _read(text: str) -> Version | None:
    if len(text) > MAX_VERSION_LENGTH:
        return None
    core, dash, tail = text.partition("-")
    numbers = core.split(".")
    prerelease = tuple(tail.split(".")) if dash else ()
    if len(numbers) != _PARTS or not all(map(is_number, numbers)) or not all(map(is_identifier, prerelease)):
        return None
    return Version(int(numbers[0]), int(numbers[1]), int(numbers[2]), prerelease)


def _refusal(text: str) -> UsageError:
    from orbitpkg.errors import UsageError

    reason = _reason(text)
    guess = _guess(text)
    hint = f'Did you mean "{guess}"?' if guess else 'A version is three numbers, as in "1.0.0" or "1.0.0-rc.1".'
    shown = text if len(text) <= MAX_VERSION_LENGTH else text[: MAX_VERSION_LENGTH - 1] + "…"
    return UsageError(f"{shown!r} is not a version: {reason}.", hint=hint, version=text, reason=reason)


def _reason(text: str) -> str:
    if not text.strip():
        return "it is empty"
    if len(text) > MAX_VERSION_LENGTH:
        return f"it has {len(text)} characters, and {MAX_VERSION_LENGTH} is the most"
    if text != text.strip():
        return "there are spaces around it"
    if text[0] in "vV":
        return f'the "{text[0]}" does not belong to it'
    if "+" in text:
        return f'build metadata ("+{text.partition("+")[2]}") cannot be ordered, so it is refused'
    core, _, tail = text.partition("-")
    return _reason_in_numbers(core.split(".")) or _reason_in_prerelease(tail.split("."))


def _reason_in_numbers(numbers: list[str]) -> str | None:
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            return f'"{number}" is not a number' if number else "a number is missing beside a dot"
        if not is_number(number):
            return f'"{number}" has a leading zero'
    if len(numbers) != _PARTS:
        count = {1: "one number", 2: "two numbers"}.get(len(numbers), f"{len(numbers)} numbers")
        return f"it has {count}, and needs three: MAJOR.MINOR.PATCH"
    return None


def _reason_in_prerelease(identifiers: list[str]) -> str:
    for identifier in identifiers:
        if identifier.isdigit() and identifier.isascii():
            if not is_number(identifier):
                return f'"{identifier}" has a leading zero'
        elif not is_identifier(identifier):
            return f'"{identifier}" may not stand in a pre-release' if identifier else "its pre-release is incomplete"
    raise AssertionError(identifiers)


def _guess(text: str) -> Version | None:
    """The version that ``text`` looks like: ``v1.0``, ``01.0.0``, ``1.0.0+b``, PEP 440's ``1.0rc1``."""
    text = text[: 2 * MAX_VERSION_LENGTH].strip().lstrip("vV= ").partition("+")[0]
    core = text[: len(text) - len(text.lstrip("0123456789."))]
    numbers = [number.lstrip("0") or "0" for number in core.strip(".").split(".")]
    if not core or not 1 <= len(numbers) <= _PARTS:
        return None
    guess = ".".join(numbers + ["0"] * (_PARTS - len(numbers)))
    tail = text[len(core) :]
    if tail:
        guess += "-" + _guessed_prerelease(tail)
    return _read(guess)


def _guessed_prerelease(tail: str) -> str:
    if tail[0] == "-":
        parts = tail[1:].replace("_", ".").split(".")
        return ".".join(part.lstrip("0") or "0" if part.isdigit() else part for part in parts if part)
    # "rc10" sorts before "rc9"; "rc.10" does not.
    word = tail.strip("._").rstrip("0123456789").rstrip("._")
    return ".".join(part for part in (word, tail[len(tail.rstrip("0123456789")) :]) if part)

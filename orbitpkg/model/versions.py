"""Package versions: SemVer 2.0.0 with exactly three numbers, an optional pre-release, and no build metadata.

Build metadata (``+…``) is rejected because it has no precedence: two releases that differ only in build metadata could
not be ordered. The order follows https://semver.org/spec/v2.0.0.html#spec-item-11.

Applications import this module when they start. It therefore avoids the ``semantic_version`` library (33 ms to import),
against which the tests check it, as well as ``re``, ``typing`` and ``dataclasses``; it loads the errors only to raise
one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NoReturn

    from orbitpkg.errors import UsageError

__all__ = ["MAX_VERSION_LENGTH", "Immutable", "Version", "is_identifier", "is_number", "next_free", "parse_version"]

MAX_VERSION_LENGTH = 128
"""In characters. With the longest name and a digest, a version still fits in a file name of 255 bytes."""

_IDENTIFIER_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_PARTS = 3


class Immutable:
    """A base for immutable values. The constructor sets the attributes with ``object.__setattr__``.

    Replaces a frozen dataclass in modules that cannot afford to import ``dataclasses`` (10 ms).
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        # Without this, pickle and copy would set the attributes of a new object one by one.
        names = [name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ())]
        return _restore, (type(self), {name: getattr(self, name) for name in names if hasattr(self, name)})


def _restore(kind: type[Immutable], attributes: Mapping[str, object]) -> Immutable:
    value = kind.__new__(kind)
    for name, attribute in attributes.items():
        object.__setattr__(value, name, attribute)
    return value


class Version(Immutable):
    """An immutable, hashable version, ordered by SemVer precedence.

    Use :func:`parse_version` to create one from text. The constructor does not validate its arguments.

    Attributes:
        major: The first number.
        minor: The second number.
        patch: The third number.
        prerelease: The identifiers after the ``-``, as written. Empty for a final release.
        precedence: The sort key, a tuple that begins with the three numbers.
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
        """Whether this is a pre-release, which sorts before the final release of the same three numbers."""
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
    """Parse a version such as ``2.0.0`` or ``2.1.0-rc.1``.

    Raises:
        UsageError: The text is not a valid version. The message gives the reason, which is also in
            ``data["reason"]``; the hint suggests a valid version.
    """
    version = _parse(text)
    if version is None:
        raise _invalid_version(text)
    return version


def next_free(version: Version, taken: Iterable[Version]) -> Version:
    """Return the first version after ``version`` that is not in ``taken``.

    A final release increments its patch number. A pre-release increments its last number, or gains one (``rc.1`` →
    ``rc.2``, ``beta`` → ``beta.1``).
    """
    used = set(taken)
    while True:
        version = _successor(version)
        if version not in used:
            return version


def is_number(text: str) -> bool:
    """Return whether ``text`` is a valid number in a version: digits without a leading zero."""
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def is_identifier(text: str) -> bool:
    """Return whether ``text`` is a valid identifier between the dots of a pre-release."""
    if not text or not _IDENTIFIER_CHARACTERS.issuperset(text):
        return False
    return not text.isdigit() or is_number(text)


def _precedence(prerelease: tuple[str, ...]) -> tuple[object, ...]:
    """Return the sort key of a pre-release: numbers sort before words, and a final release sorts last."""
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


def _parse(text: str) -> Version | None:
    if len(text) > MAX_VERSION_LENGTH:
        return None
    core, dash, tail = text.partition("-")
    numbers = core.split(".")
    prerelease = tuple(tail.split(".")) if dash else ()
    if len(numbers) != _PARTS or not all(map(is_number, numbers)) or not all(map(is_identifier, prerelease)):
        return None
    return Version(int(numbers[0]), int(numbers[1]), int(numbers[2]), prerelease)


def _invalid_version(text: str) -> UsageError:
    from orbitpkg.errors import UsageError

    reason = _reason(text)
    guess = _guess(text)
    hint = f'Did you mean "{guess}"?' if guess else 'A version has three numbers, as in "1.0.0" or "1.0.0-rc.1".'
    shown = text if len(text) <= MAX_VERSION_LENGTH else text[: MAX_VERSION_LENGTH - 1] + "…"
    return UsageError(f"{shown!r} is not a valid version: {reason}.", hint=hint, version=text, reason=reason)


def _reason(text: str) -> str:
    if not text.strip():
        return "it is empty"
    if len(text) > MAX_VERSION_LENGTH:
        return f"it has {len(text)} characters; the maximum is {MAX_VERSION_LENGTH}"
    if text != text.strip():
        return "it has leading or trailing spaces"
    if text[0] in "vV":
        return f'a leading "{text[0]}" is not allowed'
    if "+" in text:
        return f'build metadata ("+{text.partition("+")[2]}") is not supported'
    core, _, tail = text.partition("-")
    return _reason_in_numbers(core.split(".")) or _reason_in_prerelease(tail.split("."))


def _reason_in_numbers(numbers: list[str]) -> str | None:
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            if len(numbers) == 1:
                return "it does not consist of three numbers"
            return f'"{number}" is not a number' if number else "a number is missing next to a dot"
        if not is_number(number):
            return f'"{number}" has a leading zero'
    if len(numbers) != _PARTS:
        count = {1: "one number", 2: "two numbers"}.get(len(numbers), f"{len(numbers)} numbers")
        return f"it has {count} instead of three (MAJOR.MINOR.PATCH)"
    return None


def _reason_in_prerelease(identifiers: list[str]) -> str:
    for identifier in identifiers:
        if identifier.isdigit() and identifier.isascii():
            if not is_number(identifier):
                return f'"{identifier}" has a leading zero'
        elif not is_identifier(identifier):
            return f'"{identifier}" is not allowed in a pre-release' if identifier else "its pre-release is incomplete"
    raise AssertionError(identifiers)


def _guess(text: str) -> Version | None:
    """Return the version that ``text`` resembles (``v1.0``, ``01.0.0``, ``1.0.0+b``, PEP 440's ``1.0rc1``), or None."""
    text = text[: 2 * MAX_VERSION_LENGTH].strip().lstrip("vV= ").partition("+")[0]
    core = text[: len(text) - len(text.lstrip("0123456789."))]
    numbers = [number.lstrip("0") or "0" for number in core.strip(".").split(".")]
    if not core or not 1 <= len(numbers) <= _PARTS:
        return None
    guess = ".".join(numbers + ["0"] * (_PARTS - len(numbers)))
    tail = text[len(core) :]
    if tail:
        guess += "-" + _guessed_prerelease(tail)
    return _parse(guess)


def _guessed_prerelease(tail: str) -> str:
    if tail[0] == "-":
        parts = tail[1:].replace("_", ".").split(".")
        return ".".join(part.lstrip("0") or "0" if part.isdigit() else part for part in parts if part)
    # SemVer sorts "rc10" before "rc9", but "rc.9" before "rc.10".
    word = tail.strip("._").rstrip("0123456789").rstrip("._")
    return ".".join(part for part in (word, tail[len(tail.rstrip("0123456789")) :]) if part)

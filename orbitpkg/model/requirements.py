"""Requirements: a package's name and the range of versions that will do.

A range is clauses joined by commas, all of which must hold. Versions in clauses may leave out their last numbers:

=================  ==========================================  =====================================
clause             allows                                      note
=================  ==========================================  =====================================
``==2.0.0``        that version and no other
``==1.4``          ``>=1.4.0,<1.5.0``                          also written ``==1.4.*``
``!=1.3.0``        all but that version and its pre-releases   ``!=1.3``: all but ``1.3.*``
``>=1.2``          ``>=1.2.0``
``>1.2``           ``>=1.3.0``                                 ``>1.2.0`` allows 1.2.1
``<2``             ``<2.0.0``                                  not 2.0.0-rc.1 either
``<=1.4``          ``<1.5.0``                                  ``<=1.4.0`` allows no 1.4.1
``~=1.4``          ``>=1.4.0,<2.0.0``                          ``~=1.4.2``: ``>=1.4.2,<1.5.0``
``~1.4``           ``>=1.4.0,<1.5.0``                          ``~1``: ``>=1.0.0,<2.0.0``
``^1.2``           ``>=1.2.0,<2.0.0``                          ``^0.2.1``: ``>=0.2.1,<0.3.0``
=================  ==========================================  =====================================

These are the meanings of ``semantic_version.SimpleSpec``, with two departures where it surprises: ``^0`` and ``^0.0``
end at 1.0.0 and 0.1.0 (there: at 0.0.1), and ``^1.0.0-rc.1``, ``~1.0.0-rc.1`` and ``~=1.0.0-rc.1`` go on past the
release of that pre-release (there: they allow nothing). Whether a pre-release is *offered* is :func:`best`'s matter.

A range is evaluated here, as a stretch of the order of versions less the gaps that ``!=`` leaves in it: that is a
hundred times as fast as ``semantic_version``, against which it is tested, and a resolver asks a million times. This
module is on the path of an app that starts, so ``typing``, ``re`` and the errors are not imported before they are
needed.
"""

from __future__ import annotations

from orbitpkg.model.names import NAME_CHARACTERS, canonical_name, is_valid_name
from orbitpkg.model.versions import MAX_VERSION_LENGTH, Immutable, Version, is_identifier, is_number, parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from orbitpkg.errors import UsageError

    _Clause: TypeAlias = tuple[str, str]  # an operator and its operand
    _Point: TypeAlias = tuple[object, ...]  # comparable with Version.precedence
    _Span: TypeAlias = tuple[_Point, _Point]  # from the first, up to and without the second

__all__ = ["MAX_REQUIREMENT_LENGTH", "Requirement", "VersionRange", "best", "parse_range", "parse_requirement"]

MAX_REQUIREMENT_LENGTH = 1000
"""Characters; a range that needs more is a mistake, or an attack on whoever shows it."""

_OPERATORS = ("==", "!=", ">=", "<=", "~=", ">", "<", "~", "^")
_OPERATOR_CHARACTERS = frozenset("=!<>~^|≥≤≠&")
_OPERATOR_SLIPS = {"=": "==", "===": "==", "=>": ">=", "=<": "<=", "<>": "!=", "!": "!=", "!==": "!=", "=~": "~=",
                   "≥": ">=", "≤": "<=", "≠": "!=", "~>": "~=", "^=": "^"}  # fmt: skip
_PARTS = 3
_FIRST: _Point = ()
_LAST: _Point = (float("inf"),)
_SPACES = " \t\r\n"


class VersionRange(Immutable):
    """Which versions will do; immutable. Made by :func:`parse_range`.

    Attributes:
        text: The range without spaces, as it can be parsed again; ``""`` allows any version.
        exact: The one version that is allowed when the range is a lone ``==X.Y.Z``, else None.
        mentions_prerelease: Whether a clause names a pre-release as one to have (``!=`` names one to avoid).
    """

    __slots__ = ("_clauses", "_spans", "exact", "mentions_prerelease", "text")

    _clauses: tuple[_Clause, ...]
    _spans: tuple[_Span, tuple[_Span, ...]] | None
    exact: Version | None
    mentions_prerelease: bool
    text: str

    def __init__(self, clauses: tuple[_Clause, ...]) -> None:
        put = object.__setattr__
        put(self, "_clauses", clauses)
        put(self, "_spans", None)
        put(self, "text", ",".join(operator + operand for operator, operand in clauses))
        put(self, "mentions_prerelease", any("-" in operand and operator != "!=" for operator, operand in clauses))
        put(self, "exact", _exact_version(clauses))

    def allows(self, version: Version) -> bool:
        """Whether ``version`` is in the range; a pre-release is judged by its place in the order alone."""
        (low, high), gaps = self._spans or self._find_spans()
        point = version.precedence
        return low <= point < high and not any(start <= point < end for start, end in gaps)

    def stretches(self, points: Sequence[_Point]) -> list[tuple[int, int]]:
        """Find the versions that are allowed among many.

        Args:
            points: The :attr:`~orbitpkg.model.versions.Version.precedence` of each, in ascending order.

        Returns:
            The stretches of ``points`` that are allowed, each from an index up to and without another.
        """
        from bisect import bisect_left

        (low, high), gaps = self._spans or self._find_spans()
        at, end = bisect_left(points, low), bisect_left(points, high)
        found = []
        for start, stop in sorted(gaps):
            found.append((at, min(end, bisect_left(points, start))))
            at = max(at, bisect_left(points, stop))
        found.append((at, end))
        return [(at, end) for at, end in found if at < end]

    def _find_spans(self) -> tuple[_Span, tuple[_Span, ...]]:
        spans = [_span(*clause) for clause in self._clauses if clause[0] != "!="]
        low = max((span[0] for span in spans), default=_FIRST)
        high = min((span[1] for span in spans), default=_LAST)
        found = (low, high), tuple(_gap(operand) for operator, operand in self._clauses if operator == "!=")
        object.__setattr__(self, "_spans", found)
        return found

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return parse_range, (self.text,)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"VersionRange({self.text!r})"

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, VersionRange) else NotImplemented


class Requirement(Immutable):
    """A package and which of its versions will do.

    Attributes:
        name: The package's name as it was written.
        key: The same in canonical form.
        range: The versions that will do.
    """

    __slots__ = ("key", "name", "range")

    name: str
    key: str
    range: VersionRange

    def __init__(self, name: str, range: VersionRange) -> None:  # noqa: A002
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "key", canonical_name(name))
        object.__setattr__(self, "range", range)

    def __reduce__(self) -> tuple[type[Requirement], tuple[str, VersionRange]]:
        return Requirement, (self.name, self.range)

    def __str__(self) -> str:
        return self.name + self.range.text

    def __repr__(self) -> str:
        return f"Requirement({str(self)!r})"

    def __hash__(self) -> int:
        return hash((self.key, self.range))

    def __eq__(self, other: object) -> bool:
        """Equal when they ask for the same, however the name is spelled."""
        return (self.key, self.range) == (other.key, other.range) if isinstance(other, Requirement) else NotImplemented


def parse_requirement(text: str) -> Requirement:
    """Read ``model``, ``model==2.0.0``, ``model >= 1.2, < 2``, ``model~=1.4``, ``model^1.2``, ``model!=1.3.0``.

    Raises:
        UsageError: It cannot be read; the message points at the character, the hint says what was probably meant.
            ``data`` has ``reason`` and ``position`` (characters from 0).
    """
    _check_length(text)
    start = _skip_spaces(text, 0)
    end = start
    while end < len(text) and text[end] in NAME_CHARACTERS:
        end += 1
    name = text[start:end]
    after = _skip_spaces(text, end)
    if not is_valid_name(name) or (after < len(text) and text[after] not in _OPERATOR_CHARACTERS):
        raise _unreadable_name(text, start, end, after)
    return Requirement(name, VersionRange(_read_clauses(text, after)))


def parse_range(text: str) -> VersionRange:
    """Read ``>=1.2,<2``, ``==2.0.0``, ``^1.2`` …; ``""`` and ``"*"`` are any version.

    Raises:
        UsageError: As :func:`parse_requirement`.
    """
    _check_length(text)
    return VersionRange(() if text.strip(_SPACES) == "*" else _read_clauses(text, 0))


def best(versions: Iterable[Version], range: VersionRange, *, prereleases: bool = False) -> Version | None:  # noqa: A002
    """The newest of ``versions`` in ``range``, or None.

    Pre-releases are considered when ``prereleases`` says so or the range names one; never merely because there is
    nothing else.
    """
    wanted = prereleases or range.mentions_prerelease
    return max((v for v in versions if (wanted or not v.prerelease) and range.allows(v)), default=None)


def _exact_version(clauses: tuple[_Clause, ...]) -> Version | None:
    if len(clauses) != 1:
        return None
    operator, operand = clauses[0]
    is_whole = "*" not in operand and operand.partition("-")[0].count(".") == _PARTS - 1
    return parse_version(operand) if operator == "==" and is_whole else None


def _span(operator: str, operand: str) -> _Span:
    """The stretch of versions that a clause allows, if it is not ``!=``."""
    numbers = _numbers(operand)
    whole = len(numbers) == _PARTS
    if operator in ("^", "~", "~="):
        return _at(operand), _before(_ceiling(operator, numbers))
    if operator == "==":
        return _at(operand), _after(operand) if whole else _before(_next(numbers))
    if operator == ">=":
        return _at(operand), _LAST
    if operator == ">":
        return (_after(operand) if whole else _at_numbers(_next(numbers))), _LAST
    if operator == "<=":
        return _FIRST, _after(operand) if whole else _before(_next(numbers))
    # A pre-release is before its release, but who says "less than 2" does not mean what is about to be 2.
    return _FIRST, _at(operand) if "-" in operand else _before(numbers)


def _gap(operand: str) -> _Span:
    """The stretch of versions that ``!=`` takes out."""
    numbers = _numbers(operand)
    start = _at(operand) if "-" in operand else _before(numbers)
    return start, _after(operand) if len(numbers) == _PARTS else _at_numbers(_next(numbers))


def _numbers(operand: str) -> list[int]:
    return [int(number) for number in operand.partition("-")[0].split(".") if number != "*"]


def _next(numbers: list[int]) -> list[int]:
    return [*numbers[:-1], numbers[-1] + 1]


def _before(numbers: list[int]) -> _Point:
    """The point before all pre-releases of a version."""
    return (*numbers, *[0] * (_PARTS - len(numbers)))


def _at_numbers(numbers: list[int]) -> _Point:
    major, minor, patch = [*numbers, 0, 0][:_PARTS]
    return Version(major, minor, patch).precedence


def _at(operand: str) -> _Point:
    numbers = _numbers(operand)
    return parse_version(operand).precedence if len(numbers) == _PARTS else _at_numbers(numbers)


def _after(operand: str) -> _Point:
    return (*_at(operand), 0)


def _ceiling(operator: str, numbers: list[int]) -> list[int]:
    """The first numbers that a ``^``, ``~`` or ``~=`` does not reach."""
    if operator == "^":
        # The leftmost number that is not zero stays; of zeros alone, the last one given.
        kept = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
    elif operator == "~":
        kept = min(len(numbers) - 1, 1)
    else:
        kept = 1 if len(numbers) == _PARTS else 0
    return [*numbers[:kept], numbers[kept] + 1]


def _skip_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACES:
        at += 1
    return at


def _check_length(text: str) -> None:
    if len(text) > MAX_REQUIREMENT_LENGTH:
        from orbitpkg.errors import UsageError

        reason = f"it has {len(text)} characters, and {MAX_REQUIREMENT_LENGTH} is the most"
        raise UsageError(f"Cannot read {text[:60]!r}…: {reason}.", reason=reason, position=MAX_REQUIREMENT_LENGTH)


def _read_clauses(text: str, at: int) -> tuple[_Clause, ...]:
    clauses: list[_Clause] = []
    at = _skip_spaces(text, at)
    while at < len(text):
        clause, at = _read_clause(text, at)
        clauses.append(clause)
        at = _skip_spaces(text, at)
        if at < len(text):
            at = _read_comma(text, at)
    return tuple(clauses)


def _read_comma(text: str, at: int) -> int:
    if text[at] in "|&":
        raise _unreadable_operator(text, at, text[at : at + 2].strip(_SPACES))
    if text[at] != ",":
        mended = f"{text[:at].rstrip(_SPACES)},{text[at:]}" if text[at] in _OPERATOR_CHARACTERS else None
        hint = f'Did you mean "{mended}"?' if mended else "Clauses are joined by commas, and all of them must hold."
        raise _unreadable(text, at, "a comma is missing before this", hint)
    after = _skip_spaces(text, at + 1)
    if after == len(text):
        raise _unreadable(text, at, "nothing follows the comma", f'Did you mean "{text[:at].rstrip(_SPACES)}"?')
    return after


def _read_clause(text: str, at: int) -> tuple[_Clause, int]:
    start = at
    while at < len(text) and text[at] in _OPERATOR_CHARACTERS:
        at += 1
    operator = text[start:at]
    if operator not in _OPERATORS:
        raise _unreadable_operator(text, start, operator)
    at = operand_start = _skip_spaces(text, at)
    while at < len(text) and text[at] not in _SPACES and text[at] != "," and text[at] not in _OPERATOR_CHARACTERS:
        at += 1
    operand = text[operand_start:at]
    if not _is_operand(operator, operand):
        raise _unreadable_operand(text, operand_start, operator, operand)
    return (operator, operand), at


def _is_operand(operator: str, operand: str) -> bool:
    core, dash, tail = operand.partition("-")
    numbers = core.split(".")
    if operator in ("==", "!="):
        while len(numbers) > 1 and numbers[-1] == "*" and not dash:
            numbers.pop()
    return (
        len(operand) <= MAX_VERSION_LENGTH
        and core.count(".") < _PARTS
        and all(map(is_number, numbers))
        and (not dash or (len(numbers) == _PARTS and all(map(is_identifier, tail.split(".")))))
    )


def _unreadable(text: str, at: int, reason: str, hint: str | None) -> UsageError:
    """An error whose message shows the text with a caret under the character at ``at``."""
    from orbitpkg.errors import UsageError

    # A window, because a caret under a wrapped line points nowhere; one column for whatever cannot be printed.
    first = max(0, at - 50)
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[first : at + 30])
    message = f"Cannot read {text!r}: {reason}.\n    {shown}\n    {' ' * (at - first)}^"
    return UsageError(message, hint=hint, text=text, reason=reason, position=at)


def _unreadable_name(text: str, start: int, end: int, after: int) -> UsageError:
    name, rest = text[start:end], text[after:].strip(_SPACES)
    if not text.strip(_SPACES):
        return _unreadable(text, 0, "it is empty", 'Write a name, as in "model" or "model==2.0.0".')
    if "/" in text or "\\" in text:
        hint = "A requirement is a name, as in model or model==2.0.0."
        return _unreadable(text, max(text.find("/"), text.find("\\")), "this looks like a path or a URL", hint)
    if not is_valid_name(name) or not rest:
        return _refused_name(text, start, end, after)
    if rest[0] in "@:([;,*" or (after > end and rest == "latest"):
        stray = rest if rest == "latest" else rest[0]
        hint = _meant(name, rest.strip("@:()[]{};, "))
        return _unreadable(text, after, f'"{stray}" does not belong here' + "; use ==" * (stray in "@:"), hint)
    if after > end and (rest[0].isdigit() or _is_operand("==", rest.lstrip("v"))):
        return _unreadable(text, after, "an operator is missing before the version", _meant(name, rest))
    return _refused_name(text, start, end, after)


def _refused_name(text: str, start: int, end: int, after: int) -> UsageError:
    """The error for a name that is wrong in itself, told by the room that knows names."""
    from orbitpkg.errors import UsageError

    stop = min((at for at in range(after, len(text)) if text[at] in _OPERATOR_CHARACTERS), default=len(text))
    try:
        canonical_name(text[start:stop].strip(_SPACES))
    except UsageError as error:
        hint = error.hint
        at = end if stop > end else start
        return _unreadable(text, min(at, len(text) - 1), f"the name is not valid: {error.data['reason']}", hint)
    raise AssertionError(text)


def _meant(name: str, rest: str) -> str:
    """A hint with the requirement that ``name`` and ``rest`` were probably to be, or else one that shows the form."""
    from orbitpkg.errors import UsageError

    if rest in ("*", "latest"):
        return f'Write "{name}" alone: it allows any version, and the newest is taken.'
    range_text = rest if rest[:1] in _OPERATOR_CHARACTERS else "==" + rest.lstrip("v")
    try:
        return f'Did you mean "{name}{parse_range(range_text)}"?'
    except UsageError:
        return f'Write "{name}" alone, or with a range as in "{name}==2.0.0" or "{name}>=1.2,<2".'


def _unreadable_operator(text: str, at: int, operator: str) -> UsageError:
    known = ", ".join(_OPERATORS)
    if not operator:
        rest = text[at:].partition(",")[0].strip(_SPACES)
        hint = f'Did you mean "=={rest}"?' if _is_operand("==", rest) else f"A range begins with one of {known}."
        return _unreadable(text, at, "an operator is missing before the version", hint)
    if "|" in operator or "&" in operator:
        hint = "There are no alternatives: clauses are joined by commas, and all of them must hold."
        return _unreadable(text, at, f'"{operator}" is not an operator', hint)
    slip = _OPERATOR_SLIPS.get(operator)
    hint = f'Did you mean "{slip}"?' if slip else f"The operators are {known}."
    return _unreadable(text, at, f'"{operator}" is not an operator', hint)


def _unreadable_operand(text: str, at: int, operator: str, operand: str) -> UsageError:
    if not operand:
        return _unreadable(text, min(at, len(text) - 1), f'a version is missing after "{operator}"', None)
    if "*" in operand:
        kept = operand.partition("*")[0].rstrip(".-")
        hint = f'Did you mean "{operator}{kept}"?' if kept else "Leave this clause out: any version will do."
        return _unreadable(text, at, f'"*" may only end an "==" or "!=" version, not {operand!r}', hint)
    from orbitpkg.errors import UsageError

    try:
        parse_version(operand)
    except UsageError as error:
        reason = f"{operand!r} is not a version: {error.data['reason']}"
        if "-" in operand and len(operand.partition("-")[0].split(".")) < _PARTS:
            reason = "a pre-release needs all three numbers before it"
        return _unreadable(text, at, reason, error.hint)
    raise AssertionError(operand)

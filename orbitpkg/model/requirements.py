"""Requirements: a package name and a range of acceptable versions.

A range consists of clauses joined by commas, all of which must match. A version in a clause may omit its last numbers:

=================  ==========================================  =====================================
clause             matches                                     note
=================  ==========================================  =====================================
``==2.0.0``        only that version
``==1.4``          ``>=1.4.0,<1.5.0``                          also written ``==1.4.*``
``!=1.3.0``        all but that version and its pre-releases   ``!=1.3`` excludes ``1.3.*``
``>=1.2``          ``>=1.2.0``
``>1.2``           ``>=1.3.0``                                 ``>1.2.0`` matches 1.2.1
``<2``             ``<2.0.0``                                  not 2.0.0-rc.1 either
``<=1.4``          ``<1.5.0``                                  ``<=1.4.0`` does not match 1.4.1
``~=1.4``          ``>=1.4.0,<2.0.0``                          ``~=1.4.2``: ``>=1.4.2,<1.5.0``
``~1.4``           ``>=1.4.0,<1.5.0``                          ``~1``: ``>=1.0.0,<2.0.0``
``^1.2``           ``>=1.2.0,<2.0.0``                          ``^0.2.1``: ``>=0.2.1,<0.3.0``
=================  ==========================================  =====================================

Clauses mean what they mean to ``semantic_version.SimpleSpec``, with two exceptions where that is surprising. ``^0`` and
``^0.0`` end at 1.0.0 and 0.1.0 (``SimpleSpec``: at 0.0.1). ``^1.0.0-rc.1``, ``~1.0.0-rc.1`` and ``~=1.0.0-rc.1`` also
match later final releases (``SimpleSpec``: nothing). :func:`best` decides whether a pre-release is *offered*.

A range is an interval in the order of versions, minus the gaps that ``!=`` leaves. Evaluating it that way is a hundred
times as fast as ``semantic_version``, against which the tests check it; a resolver does it a million times.
Applications import this module when they start, so ``typing``, ``re`` and the errors are imported only when needed.
"""

from __future__ import annotations

from orbitpkg.model.names import NAME_CHARACTERS, canonical_name, is_valid_name
from orbitpkg.model.versions import MAX_VERSION_LENGTH, Immutable, Version, is_identifier, is_number, parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from orbitpkg.errors import UsageError

    _Clause: TypeAlias = tuple[str, str]  # an operator and its operand
    _Point: TypeAlias = tuple[object, ...]  # comparable with Version.precedence
    _Span: TypeAlias = tuple[_Point, _Point]  # half-open: without the second point

__all__ = ["MAX_REQUIREMENT_LENGTH", "Requirement", "VersionRange", "find_newest", "parse_range", "parse_requirement"]

MAX_REQUIREMENT_LENGTH = 1000
"""In characters. Anything longer is a mistake, or an attack on the program that displays it."""

_OPERATORS = ("==", "!=", ">=", "<=", "~=", ">", "<", "~", "^")
_OPERATOR_CHARACTERS = frozenset("=!<>~^|≥≤≠&")
_OPERATOR_SLIPS = {"=": "==", "===": "==", "=>": ">=", "=<": "<=", "<>": "!=", "!": "!=", "!==": "!=", "=~": "~=",
                   "≥": ">=", "≤": "<=", "≠": "!=", "~>": "~=", "^=": "^"}  # fmt: skip
_PARTS = 3
_FIRST: _Point = ()
_LAST: _Point = (float("inf"),)
_SPACES = " \t\r\n"


class VersionRange(Immutable):
    """An immutable range of versions. Use :func:`parse_range` to create one.

    Attributes:
        text: The range without spaces, which can be parsed again. ``""`` matches any version.
        exact: The version X.Y.Z if the range is just ``==X.Y.Z``, else None.
        mentions_prerelease: Whether a clause other than ``!=`` names a pre-release.
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
        """Return whether ``version`` is in the range. A pre-release matches if it sorts between the bounds."""
        (low, high), gaps = self._spans or self._find_spans()
        point = version.precedence
        return low <= point < high and not any(start <= point < end for start, end in gaps)

    def allowed_slices(self, points: Sequence[_Point]) -> list[tuple[int, int]]:
        """Find all matching versions in a sorted sequence.

        Args:
            points: The :attr:`~orbitpkg.model.versions.Version.precedence` of each version, in ascending order.

        Returns:
            The slices of ``points`` that match, as pairs of a start index and an end index (exclusive).
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
    """A package name and a range of acceptable versions.

    Attributes:
        name: The package name as written.
        key: The canonical name.
        range: The acceptable versions.
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
        """Compare canonical names and ranges, regardless of how the names are spelled."""
        return (self.key, self.range) == (other.key, other.range) if isinstance(other, Requirement) else NotImplemented


def parse_requirement(text: str) -> Requirement:
    """Parse a requirement: ``model``, ``model==2.0.0``, ``model >= 1.2, < 2``, ``model~=1.4``, ``model^1.2``.

    Raises:
        UsageError: The text is not a valid requirement. The message points at the first invalid character; the hint
            suggests a correction. ``data`` has ``reason`` and ``position`` (in characters, from 0).
    """
    _check_length(text)
    start = _skip_spaces(text, 0)
    end = start
    while end < len(text) and text[end] in NAME_CHARACTERS:
        end += 1
    name = text[start:end]
    after = _skip_spaces(text, end)
    if not is_valid_name(name) or (after < len(text) and text[after] not in _OPERATOR_CHARACTERS):
        raise _name_error(text, start, end, after)
    return Requirement(name, VersionRange(_parse_clauses(text, after)))


def parse_range(text: str) -> VersionRange:
    """Parse a range: ``>=1.2,<2``, ``==2.0.0``, ``^1.2``. ``""`` and ``"*"`` match any version.

    Raises:
        UsageError: As for :func:`parse_requirement`.
    """
    _check_length(text)
    return VersionRange(() if text.strip(_SPACES) == "*" else _parse_clauses(text, 0))


def find_newest(
    versions: Iterable[Version],
    ranges: Sequence[VersionRange],
    *,
    prereleases: bool = False,
    accept: Callable[[Version], bool] | None = None,
) -> Version | None:
    """Return the newest version that all ranges match, or None.

    Pre-releases are considered only if ``prereleases`` is true or a range names one. They are not a fallback when no
    final release matches.

    Args:
        versions: The versions that exist, in any order.
        ranges: The ranges to match; any version matches none.
        prereleases: Whether pre-releases are candidates.
        accept: Called with matching versions, newest first, until it returns True.
    """
    wanted = prereleases or any(each.mentions_prerelease for each in ranges)
    matching = [v for v in versions if (wanted or not v.prerelease) and all(each.allows(v) for each in ranges)]
    if accept is None:
        return max(matching, default=None)
    return next(filter(accept, sorted(matching, reverse=True)), None)


def _exact_version(clauses: tuple[_Clause, ...]) -> Version | None:
    if len(clauses) != 1:
        return None
    operator, operand = clauses[0]
    is_whole = "*" not in operand and operand.partition("-")[0].count(".") == _PARTS - 1
    return parse_version(operand) if operator == "==" and is_whole else None


def _span(operator: str, operand: str) -> _Span:
    """Return the interval that a clause other than ``!=`` matches."""
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
    # 2.0.0-rc.1 sorts before 2.0.0, but "<2" is not meant to match it.
    return _FIRST, _at(operand) if "-" in operand else _before(numbers)


def _gap(operand: str) -> _Span:
    """Return the interval that a ``!=`` clause excludes."""
    numbers = _numbers(operand)
    start = _at(operand) if "-" in operand else _before(numbers)
    return start, _after(operand) if len(numbers) == _PARTS else _at_numbers(_next(numbers))


def _numbers(operand: str) -> list[int]:
    return [int(number) for number in operand.partition("-")[0].split(".") if number != "*"]


def _next(numbers: list[int]) -> list[int]:
    return [*numbers[:-1], numbers[-1] + 1]


def _before(numbers: list[int]) -> _Point:
    """Return the point just before all pre-releases of a version."""
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
    """Return the first version numbers that a ``^``, ``~`` or ``~=`` clause no longer matches."""
    if operator == "^":
        # Keep the leftmost non-zero number, or the last number if all are zero.
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

        reason = f"it has {len(text)} characters; the maximum is {MAX_REQUIREMENT_LENGTH}"
        raise UsageError(f"Cannot parse {text[:60]!r}…: {reason}.", reason=reason, position=MAX_REQUIREMENT_LENGTH)


def _parse_clauses(text: str, at: int) -> tuple[_Clause, ...]:
    clauses: list[_Clause] = []
    at = _skip_spaces(text, at)
    while at < len(text):
        clause, at = _parse_clause(text, at)
        clauses.append(clause)
        at = _skip_spaces(text, at)
        if at < len(text):
            at = _skip_comma(text, at)
    return tuple(clauses)


def _skip_comma(text: str, at: int) -> int:
    if text[at] in "|&":
        raise _operator_error(text, at, text[at : at + 2].strip(_SPACES))
    if text[at] != ",":
        mended = f"{text[:at].rstrip(_SPACES)},{text[at:]}" if text[at] in _OPERATOR_CHARACTERS else None
        hint = f'Did you mean "{mended}"?' if mended else "Join clauses with commas. All of them must match."
        following = text[at:].partition(",")[0].rstrip(_SPACES)
        raise _syntax_error(text, at, f'a comma is missing before "{following}"', hint)
    after = _skip_spaces(text, at + 1)
    if after == len(text):
        raise _syntax_error(text, at, "nothing follows the comma", f'Did you mean "{text[:at].rstrip(_SPACES)}"?')
    return after


def _parse_clause(text: str, at: int) -> tuple[_Clause, int]:
    start = at
    while at < len(text) and text[at] in _OPERATOR_CHARACTERS:
        at += 1
    operator = text[start:at]
    if operator not in _OPERATORS:
        raise _operator_error(text, start, operator)
    at = operand_start = _skip_spaces(text, at)
    while at < len(text) and text[at] not in _SPACES and text[at] != "," and text[at] not in _OPERATOR_CHARACTERS:
        at += 1
    operand = text[operand_start:at]
    if not _is_operand(operator, operand):
        raise _operand_error(text, operand_start, operator, operand)
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


def _syntax_error(text: str, at: int, reason: str, hint: str | None) -> UsageError:
    """Return an error whose message shows the text with a caret under the character at ``at``."""
    from orbitpkg.errors import UsageError

    # Long text is cut, because a caret under a wrapped line points nowhere. Each character must take one column.
    first = max(0, at - 50)
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[first : at + 30])
    message = f"Cannot parse {text!r}: {reason}.\n    {shown}\n    {' ' * (at - first)}^"
    return UsageError(message, hint=hint, text=text, reason=reason, position=at)


def _name_error(text: str, start: int, end: int, after: int) -> UsageError:
    name, rest = text[start:end], text[after:].strip(_SPACES)
    if not text.strip(_SPACES):
        return _syntax_error(text, 0, "it is empty", 'Write a name, as in "model" or "model==2.0.0".')
    if "/" in text or "\\" in text:
        hint = "Write a package name, as in model or model==2.0.0."
        return _syntax_error(text, max(text.find("/"), text.find("\\")), "this looks like a path or a URL", hint)
    if not is_valid_name(name) or not rest:
        return _invalid_name(text, start, end, after)
    if rest[0] in "@:([;,*" or (after > end and rest == "latest"):
        stray = rest if rest == "latest" else rest[0]
        hint = _suggestion(name, rest.strip("@:()[]{};, "))
        return _syntax_error(text, after, f'unexpected "{stray}"' + "; use ==" * (stray in "@:"), hint)
    if after > end and (rest[0].isdigit() or _is_operand("==", rest.lstrip("v"))):
        return _syntax_error(text, after, "an operator is missing before the version", _suggestion(name, rest))
    return _invalid_name(text, start, end, after)


def _invalid_name(text: str, start: int, end: int, after: int) -> UsageError:
    from orbitpkg.errors import UsageError

    stop = min((at for at in range(after, len(text)) if text[at] in _OPERATOR_CHARACTERS), default=len(text))
    try:
        canonical_name(text[start:stop].strip(_SPACES))
    except UsageError as error:
        hint = error.hint
        at = end if stop > end else start
        return _syntax_error(text, min(at, len(text) - 1), f"invalid package name: {error.data['reason']}", hint)
    raise AssertionError(text)


def _suggestion(name: str, rest: str) -> str:
    """Return a hint with the requirement that ``name`` and ``rest`` probably stand for, or else an example."""
    from orbitpkg.errors import UsageError

    if rest in ("*", "latest"):
        return f'Write just "{name}" to get the newest version.'
    range_text = rest if rest[:1] in _OPERATOR_CHARACTERS else "==" + rest.lstrip("v")
    try:
        return f'Did you mean "{name}{parse_range(range_text)}"?'
    except UsageError:
        return f'Write just "{name}", or add a range, as in "{name}==2.0.0" or "{name}>=1.2,<2".'


def _operator_error(text: str, at: int, operator: str) -> UsageError:
    if not operator:
        return _missing_operator(text, at)
    if "|" in operator or "&" in operator:
        hint = "Alternatives are not supported; join clauses that must all match with commas."
        return _syntax_error(text, at, f'"{operator}" is not an operator', hint)
    slip = _OPERATOR_SLIPS.get(operator)
    mended = f"{text[:at]}{slip}{text[at + len(operator) :]}".strip(_SPACES)
    hint = f'Did you mean "{mended}"?' if slip else f"The operators are {', '.join(_OPERATORS)}."
    return _syntax_error(text, at, f'"{operator}" is not an operator', hint)


def _missing_operator(text: str, at: int) -> UsageError:
    version = text[at:].partition(",")[0].strip(_SPACES)
    if _is_operand("==", version):
        hint = f'Did you mean "=={version}"?'
    elif version.lower() in ("latest", "any"):
        hint = 'Write "*" to allow any version.'
    else:
        hint = f"Start a range with one of {', '.join(_OPERATORS)}."
    return _syntax_error(text, at, "an operator is missing before the version", hint)


def _operand_error(text: str, at: int, operator: str, operand: str) -> UsageError:
    if not operand:
        return _syntax_error(text, min(at, len(text) - 1), f'a version is missing after "{operator}"', None)
    if "*" in operand:
        kept = operand.partition("*")[0].rstrip(".-")
        hint = f'Did you mean "{operator}{kept}"?' if kept else "Remove this clause to allow any version."
        return _syntax_error(text, at, f'"*" is allowed only at the end of an "==" or "!=" version: {operand!r}', hint)
    from orbitpkg.errors import UsageError

    try:
        parse_version(operand)
    except UsageError as error:
        reason = f"{operand!r} is not a valid version: {error.data['reason']}"
        if "-" in operand and len(operand.partition("-")[0].split(".")) < _PARTS:
            reason = "a pre-release needs all three version numbers"
        return _syntax_error(text, at, reason, _operand_hint(operator, operand) or error.hint)
    raise AssertionError(operand)


def _operand_hint(operator: str, operand: str) -> str | None:
    numbers, dot, last = operand.rpartition(".")
    if not dot or last not in ("x", "X") or not _is_operand(operator, numbers):
        return None
    return f'Did you mean "{operator}{numbers}"?'

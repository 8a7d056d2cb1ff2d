"""Filters: conditions over the columns of a catalogue, in DuckDB's SQL, with helpful errors for invalid ones.

A filter is a single expression. Anything more (a second statement, a subquery, a clause after the condition) is
rejected before it runs. A valid filter therefore means the same in parentheses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.errors import UsageError
from orbitpkg.model.jsontext import load_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

__all__ = ["advice", "check_filter", "columns_used", "folded", "refusal", "unknown_column"]

_BEFORE: Final = "SELECT 1 FROM data WHERE\n"
_NEAR: Final = 3
_NOWHERE: Final = 2**63
# Parts of a SELECT other than its condition, which a filter must not contain.
_CLAUSES: Final = {"modifiers": "ORDER BY or LIMIT", "group_expressions": "GROUP BY", "having": "HAVING"} | {
    "qualify": "QUALIFY",
    "sample": "USING SAMPLE",
}


def check_filter(connection: DuckDBPyConnection, text: str, *, columns: Iterable[str] = ()) -> dict[str, Any]:
    """Parse a filter and return its syntax tree.

    Args:
        connection: A connection to any database.
        text: The filter.
        columns: The columns of the catalogue, for hints.

    Raises:
        UsageError: The filter is not a single expression. The message points at the problem.
    """
    if not text.strip():
        raise UsageError("The filter is empty.", hint="Write a condition such as \"robot = 'sawyer'\", or omit it.")
    [(tree,)] = connection.execute("SELECT json_serialize_sql(?)", [f"{_BEFORE}{text}\n"]).fetchall()
    parsed = load_json(tree)
    if parsed["error"]:
        at = int(parsed["position"]) if "position" in parsed else None
        message = str(parsed["error_message"])
        if at is None:
            raise refusal(text, None, "it is not a condition", advice(text, message))
        hint = _keyword_advice(message, columns) or advice(text, message)
        raise refusal(text, _offset(text, at), message.replace("\n", " "), hint)
    return _condition(text, parsed["statements"])


def _condition(text: str, statements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    node = statements[0]["node"]
    if len(statements) != 1 or node["type"] != "SELECT_NODE":
        raise refusal(text, None, "it is more than one condition", None)
    extra = [words for clause, words in _CLAUSES.items() if node[clause]]
    if extra or not node["where_clause"] or node["from_table"]["type"] != "BASE_TABLE":
        problem = f"it contains {extra[0]}" if extra else "it is more than one condition"
        raise refusal(text, None, problem, "Write only the condition.")
    condition: dict[str, Any] = node["where_clause"]
    for part in _nodes(condition):
        if part.get("class") == "SUBQUERY":
            raise refusal(text, _offset(text, part["query_location"]), "subqueries are not supported", None)
        if part.get("class") == "WINDOW":
            raise refusal(text, _offset(text, part["query_location"]), "window functions are not supported", None)
    return condition


def columns_used(condition: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the columns that a filter names, with their positions in bytes of the statement."""
    # The parameters of lambda functions, which are not columns.
    own = {
        name
        for part in _nodes(condition)
        if part.get("class") == "LAMBDA"
        for each in _nodes(part["lhs"])
        for name in each.get("column_names", ())
    }
    for part in _nodes(condition):
        if part.get("class") == "COLUMN_REF" and part["column_names"][0] not in own:
            yield part["column_names"][0], part["query_location"]


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def unknown_column(text: str, condition: dict[str, Any], columns: Sequence[str]) -> UsageError | None:
    """Return an error for the first unknown column in a filter, or None if all columns exist."""
    from orbitpkg.model.names import nearest

    known = {folded(name) for name in columns}
    for name, at in columns_used(condition):
        if folded(name) in known:
            continue
        quoted = re.compile(r'"' + re.escape(name) + r'"').search(text)
        close = nearest(name, columns, n=_NEAR)
        if quoted and not close:
            hint = f"Write text in single quotes: '{name}'."
        elif close:
            hint = f"Did you mean {' or '.join(_quoted(each) for each in close)}?"
        else:
            shown = ", ".join(columns[:40])
            hint = f"The columns are {shown}{' …' if len(columns) > 40 else ''}."  # noqa: PLR2004
        return refusal(text, _offset(text, at), f"unknown column {name}", hint)
    return None


def folded(name: str) -> str:
    """Return a column name as DuckDB compares it: with ASCII letters in lower case."""
    return "".join(char.lower() if char.isascii() else char for char in name)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def refusal(text: str, at: int | None, why: str, hint: str | None) -> UsageError:
    """Return an error for an invalid filter that points at the problem.

    Args:
        text: The filter.
        at: The position of the problem in characters, from 0, or None if unknown.
        why: The problem.
        hint: A hint on how to fix it, or None.
    """
    if at is None:
        return UsageError(f"Invalid filter: {why}.\n  {text}", hint=hint, filter=text)
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].partition("\n")[0]
    caret = "".join("\t" if char == "\t" else " " for char in line[: at - start]) + "^"
    message = f"Invalid filter: {why} at character {at + 1}.\n  {line}\n  {caret}"
    return UsageError(message, hint=hint, filter=text, position=at + 1)


def _offset(text: str, at: int) -> int | None:
    """Convert a position in bytes of the statement to characters of the filter."""
    if at >= _NOWHERE:
        return None
    inside = max(0, at - len(_BEFORE))
    return min(len(text.encode()[:inside].decode(errors="ignore")), len(text))


def _keyword_advice(message: str, columns: Iterable[str]) -> str | None:
    word = re.search(r'at or near "([^"]+)"', message)
    if word is None or folded(word[1]) not in {folded(name) for name in columns}:
        return None
    return f'{word[1]} is an SQL keyword. Put the column name in double quotes: "{word[1]}".'


def advice(text: str, message: str) -> str | None:
    """Return a hint for an invalid filter, or None.

    Args:
        text: The filter.
        message: DuckDB's error message.
    """
    if "unterminated" in message:
        return "A quoted text is not closed. Write a quote inside text twice, as in 'it''s'."
    if "&&" in text or "||" in text:
        return "Use AND and OR."
    if "syntax error" in message:
        return "Example of a condition: robot = 'sawyer' AND action_T >= 15"
    return None

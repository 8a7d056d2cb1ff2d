"""Filters: conditions over the columns of a catalogue, in DuckDB's SQL, and what is wrong with those that are none.

A filter is one expression. What would be more than that (a second statement, a subquery, a clause after the
condition) is refused before anything runs, so that a filter can be put between parentheses and means the same there.
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
# What a SELECT can hold besides its condition; a filter has none of it.
_CLAUSES: Final = {"modifiers": "ORDER BY or LIMIT", "group_expressions": "GROUP BY", "having": "HAVING"} | {
    "qualify": "QUALIFY",
    "sample": "USING SAMPLE",
}


def check_filter(connection: DuckDBPyConnection, text: str, *, columns: Iterable[str] = ()) -> dict[str, Any]:
    """Parse a filter; returns its syntax tree.

    Args:
        connection: Of any database.
        text: The filter.
        columns: Those that there are, for what is said of it.

    Raises:
        UsageError: It is not one expression; the message points at the place.
    """
    if not text.strip():
        raise UsageError("The filter is empty.", hint="Write a condition, like \"robot = 'sawyer'\", or leave it out.")
    [(tree,)] = connection.execute("SELECT json_serialize_sql(?)", [f"{_BEFORE}{text}\n"]).fetchall()
    said = load_json(tree)
    if said["error"]:
        at = int(said["position"]) if "position" in said else None
        message = str(said["error_message"])
        if at is None:
            raise refusal(text, None, "it is no condition", advice(text, message))
        hint = _keyword_advice(message, columns) or advice(text, message)
        raise refusal(text, _offset(text, at), message.replace("\n", " "), hint)
    return _condition(text, said["statements"])


def _condition(text: str, statements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    node = statements[0]["node"]
    if len(statements) != 1 or node["type"] != "SELECT_NODE":
        raise refusal(text, None, "it is more than one condition", None)
    extra = [words for clause, words in _CLAUSES.items() if node[clause]]
    if extra or not node["where_clause"] or node["from_table"]["type"] != "BASE_TABLE":
        said = f"it ends with {extra[0]}" if extra else "it is more than one condition"
        raise refusal(text, None, said, "A filter is the condition alone.")
    condition: dict[str, Any] = node["where_clause"]
    for part in _nodes(condition):
        if part.get("class") == "SUBQUERY":
            raise refusal(text, _offset(text, part["query_location"]), "it holds a query within", None)
        if part.get("class") == "WINDOW":
            raise refusal(text, _offset(text, part["query_location"]), "it looks at several rows", None)
    return condition


def columns_used(condition: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the columns that a filter names, and where (for :func:`refusal`, in bytes of the statement)."""
    # What a function of lists calls their members.
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
    """Find the first column of a filter that there is none of; None when all are there."""
    from orbitpkg.model.names import nearest

    known = {folded(name) for name in columns}
    for name, at in columns_used(condition):
        if folded(name) in known:
            continue
        quoted = re.compile(r'"' + re.escape(name) + r'"').search(text)
        close = nearest(name, columns, n=_NEAR)
        if quoted and not close:
            hint = f"Text is written in single quotes: '{name}'."
        elif close:
            hint = f"Did you mean {' or '.join(_quoted(each) for each in close)}?"
        else:
            shown = ", ".join(columns[:40])
            hint = f"There are: {shown}{' …' if len(columns) > 40 else ''}."  # noqa: PLR2004
        return refusal(text, _offset(text, at), f"there is no column {name}", hint)
    return None


def folded(name: str) -> str:
    """Give the form of a column's name in which DuckDB compares it: letters of ASCII in lower case."""
    return "".join(char.lower() if char.isascii() else char for char in name)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def refusal(text: str, at: int | None, why: str, hint: str | None) -> UsageError:
    """Say that a filter cannot be used, and point at the place.

    Args:
        text: The filter.
        at: The place, in characters from 0; None when there is none to point at.
        why: What is wrong.
        hint: What to do.
    """
    if at is None:
        return UsageError(f"The filter cannot be used: {why}.\n  {text}", hint=hint, filter=text)
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].partition("\n")[0]
    caret = "".join("\t" if char == "\t" else " " for char in line[: at - start]) + "^"
    message = f"The filter cannot be used: at character {at + 1}, {why}.\n  {line}\n  {caret}"
    return UsageError(message, hint=hint, filter=text, position=at + 1)


def _offset(text: str, at: int) -> int | None:
    """Turn a place in the statement, in bytes, into one in the filter, in characters."""
    if at >= _NOWHERE:
        return None
    inside = max(0, at - len(_BEFORE))
    return min(len(text.encode()[:inside].decode(errors="ignore")), len(text))


def _keyword_advice(message: str, columns: Iterable[str]) -> str | None:
    word = re.search(r'at or near "([^"]+)"', message)
    if word is None or folded(word[1]) not in {folded(name) for name in columns}:
        return None
    return f'{word[1]} is a word of SQL: in double quotes it is the column, "{word[1]}".'


def advice(text: str, message: str) -> str | None:
    """Guess what somebody who wrote a filter did not know; None when nothing comes to mind.

    Args:
        text: The filter.
        message: What DuckDB says of it.
    """
    if "unterminated" in message:
        return "A text in quotes has no end: a quote within it is written twice, like 'it''s'."
    if "&&" in text or "||" in text:
        return "Write AND and OR."
    if "syntax error" in message:
        return "A condition looks like: robot = 'sawyer' AND action_T >= 15"
    return None

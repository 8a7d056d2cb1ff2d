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
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

__all__ = ["advice", "check_filter", "columns_used", "folded", "refusal", "unknown_column", "with_casts"]

_BEFORE: Final = "SELECT 1 FROM data WHERE\n"
_NEAR: Final = 3
_NOWHERE: Final = 2**63
# SQL calls these functions without parentheses, so a parser takes them for columns.
_FUNCTIONS: Final = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_NUMBERS: Final = re.compile(r"(TINY|SMALL|BIG|HUGE|U.*)?INT(EGER)?(_LITERAL)?|DECIMAL|NUMERIC|FLOAT|DOUBLE|BIGNUM")
_CASTS: Final = {
    "number": "TRY_CAST({0} AS DOUBLE)",
    "boolean": "(CASE {0} WHEN 'true' THEN true WHEN 'false' THEN false END)",
}
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "//", "%", "**", "^"})
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
        if folded(name) in known or folded(name) in _FUNCTIONS:
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


def with_casts(
    text: str, condition: dict[str, Any], *, numbers: Collection[str], is_mixed: Callable[[str, str], bool]
) -> str:
    """Return a filter that reads a text column as numbers where it compares it with numbers; with booleans likewise.

    A metadata key that is text in one datum makes its column text in all of them. Without the conversion, that datum
    would make ``step = 1`` an error; with it, the datum does not match.

    Args:
        text: The filter.
        condition: Its syntax tree.
        numbers: The names of the numeric columns.
        is_mixed: Returns whether a column, given by its name in the filter, is a text column in which an expression
            of SQL has a value for some row.
    """
    numbers = {folded(name) for name in numbers}
    casts: dict[int, bytes] = {}
    for node in _nodes(condition):
        operands = _operands(node)
        found = {_operand_kind(each, numbers) for each in operands} | ({"number"} if _is_arithmetic(node) else set())
        cast = next((_CASTS[kind] for kind in _CASTS if kind in found), None)
        for each in operands:
            if cast is None or each.get("class") != "COLUMN_REF":
                continue
            column = '"' + each["column_names"][0].replace('"', '""') + '"'
            if is_mixed(each["column_names"][0], cast.format(column)):
                casts[each["query_location"] - len(_BEFORE)] = cast.format(column).encode()
    data = text.encode()
    for at, cast_bytes in sorted(casts.items(), reverse=True):
        written = re.match(rb'"(?:[^"]|"")*"|[\w\x80-\xff]+', data[at:])
        if written is not None:
            data = data[:at] + cast_bytes + data[at + written.end() :]
    return data.decode()


def _operands(node: dict[str, Any]) -> list[dict[str, Any]]:
    match node.get("class"):
        case "COMPARISON":
            return [node["left"], node["right"]]
        case "BETWEEN":
            return [node["input"], node["lower"], node["upper"]]
        case "OPERATOR" if node["type"] in {"COMPARE_IN", "COMPARE_NOT_IN"}:
            return list(node["children"])
        case "FUNCTION" if _is_arithmetic(node):
            arguments = node.get("arguments") or [{"expression": each} for each in node.get("children", ())]
            return [each["expression"] for each in arguments]
    return []


def _is_arithmetic(node: dict[str, Any]) -> bool:
    return node.get("class") == "FUNCTION" and node.get("function_name") in _ARITHMETIC


def _operand_kind(node: dict[str, Any], numbers: Collection[str]) -> str | None:
    """Return "number" or "boolean" if an operand is one, else None."""
    if node.get("class") == "COLUMN_REF":
        return "number" if folded(node["column_names"][0]) in numbers else None
    if node.get("class") != "CONSTANT":
        return None
    # DuckDB 1 describes the type of a constant in another place than DuckDB 2.
    literal = node.get("literal")
    kind = str(literal["kind"] if literal else node["value"]["type"]["id"])
    return "boolean" if kind == "BOOLEAN" else "number" if _NUMBERS.fullmatch(kind) else None


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

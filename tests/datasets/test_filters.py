"""Filters: expressions over the columns, and the errors for invalid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.datasets.dataset import create_dataset
from orbitpkg.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("filled")
    files = folder / "files"
    files.mkdir()
    for number in range(4):
        (files / f"run-{number}.bin").write_bytes(bytes(number))
        robot = "sawyer" if number % 2 else "it's"
        facts = {"robot": robot, "action_T": number * 10, "camera": {"fps": 30 + number}, "Größe": number / 2}
        (files / f"run-{number}.bin.json").write_text(json.dumps(facts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORBITPKG_HOME", str(folder / "home"))
        made = create_dataset("recordings", (folder / "repository").as_uri())
        assert made.register(files, tags={"lab": "north"}).new == 4
    return made


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("robot = 'sawyer'", [1, 3]),
        ("robot = 'sawyer' and action_T >= 15", [3]),
        ("ROBOT = 'it''s' -- with a remark", [0, 2]),
        ("camera->>'fps' = '31'", [1]),
        ('"Größe" > 1.2', [3]),
        ("tags['lab'] = 'south' or lab = 'north' and size = 3", [3]),
        ("json_extract(metadata, '$.action_T')::INT = 20", [2]),
        ("size between 1 and 2", [1, 2]),
        ("len(list_filter([size], lambda n: n > 1)) = 1", [2, 3]),
        ("registered > '2020-01-01'", [0, 1, 2, 3]),
        ("name in ('run-0.bin', 'nothing')", [0]),
        ("false or action_T = 0", [0]),
    ],
)
def test_a_condition_selects(filled: Dataset, condition: str, names: list[int]) -> None:
    found = [row["name"] for row in filled.where(condition).rows(columns=["name"])]
    assert found == [f"run-{number}.bin" for number in names]


@pytest.mark.parametrize("pieces", [1, 2], ids=["in one part", "in two parts"])
def test_one_text_value_does_not_break_comparisons_with_numbers(tmp_path: Path, pieces: int) -> None:
    values = {"a": 1, "b": "two", "c": 3, "d": 1.5, "e": True, "f": "03"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
        made = create_dataset("recordings", (tmp_path / "repository").as_uri())
        names = sorted(values)
        for begin in range(0, len(names), len(names) // pieces):
            for name in names[begin : begin + len(names) // pieces]:
                (tmp_path / name).write_text(name)
                made.register(tmp_path / name, metadata={"step": values[name], "other step": 1, "count": 1})
        for condition, expected in {
            "step = 1": "a",
            "1 < step": "cdf",
            "step between 1 and 2": "ad",
            "STEP in (1, 3)": "acf",
            "step + 1 = 2": "a",
            '"step" = 1 and size = 1': "a",
            "step = 1.5 or size > 5": "d",
            "step = true": "e",
            "step = count": "a",
            "step = 'two'": "b",
            "size = 1 and count = 1": "abcdef",
            '"other step" = 1 /* ü */ and step = 3': "cf",
        }.items():
            found = [str(row["name"]) for row in made.where(condition).rows(columns=["name"])]
            assert "".join(sorted(found)) == expected, condition


def test_conditions_of_conditions_are_each_between_parentheses(filled: Dataset) -> None:
    both = filled.where("action_T = 0 or action_T = 10").where("robot = 'sawyer' -- only these")
    assert (both.count(), both.total_size()) == (1, 1)


@pytest.mark.parametrize(
    ("condition", "position", "says"),
    [
        (") robot", 1, "syntax error"),
        ("robot = 'sawyer", 9, "not closed"),
        ("robto = 'sawyer'", 1, "Did you mean robot?"),
        ("robot = 'ü' and robto = 'x'", 17, "Did you mean robot?"),
        ('robot = "sawyer"', 9, "single quotes: 'sawyer'"),
        ("action_T > 3 and\n  actoin_t < 5", 20, "Did you mean action_T?"),
        ('"Grösse" > 1', 1, 'Did you mean "Größe"?'),
        ("zzz = 1", 1, "The columns are id, name"),
    ],
)
def test_a_filter_that_cannot_be_used_is_pointed_at(filled: Dataset, condition: str, position: int, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        filled.where(condition).count()
    assert says in str(caught.value)
    assert caught.value.data["position"] == position
    *_, line, caret = caught.value.message.splitlines()
    text, at = line.removeprefix("  "), caret.index("^") - 2
    assert condition.splitlines()[condition.count("\n", 0, position - 1)] == text
    assert condition[position - 1] == text[at]


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "  ",
        "true; DROP VIEW data",
        "true) OR (true",
        "1 = 1 UNION SELECT * FROM data",
        "true ORDER BY name",
        "true LIMIT 1",
        "true GROUP BY name",
        "true QUALIFY row_number() OVER () = 1",
        "true USING SAMPLE 1",
        "id IN (SELECT id FROM data)",
        "EXISTS (FROM read_csv('/etc/passwd'))",
        "row_number() OVER () = 1",
        "count(*) > 1",
        "COPY data TO 'x'",
        "robot = ?",
        "no_such_function(robot)",
        "robot + 1 > 2",
        "action_T > 'many'",
        "true /* and",
    ],
)
def test_an_expression_that_is_not_a_condition_is_refused(filled: Dataset, condition: str) -> None:
    with pytest.raises(UsageError, match="filter"):
        filled.where(condition).count()


def test_a_column_with_the_name_of_a_word_of_sql_goes_in_quotes(recordings: Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    recordings.register(tmp_path / "a.bin", metadata={"when": "noon"})
    with pytest.raises(UsageError) as caught:
        recordings.where("when = 'noon'").count()
    assert caught.value.hint == 'when is an SQL keyword. Put the column name in double quotes: "when".'
    found = recordings.where("\"when\" = 'noon'")
    assert (found.count(), found.total_size()) == (1, 1)


def test_syntax_of_other_languages_gives_a_hint(filled: Dataset) -> None:
    with pytest.raises(UsageError) as caught:
        filled.where("robot = 'sawyer' && action_T = 3").count()
    assert caught.value.hint == "Use AND and OR."


@pytest.mark.parametrize("reader", ["read_text", "read_blob"])
def test_a_filter_reads_no_files(filled: Dataset, tmp_path: Path, reader: str) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(UsageError):
        filled.where(f"name = {reader}('{tmp_path}/secret')").count()


def test_an_unknown_column_to_be_shown_is_refused_with_the_nearest(filled: Dataset) -> None:
    with pytest.raises(UsageError, match="robto") as caught:
        list(filled.where().rows(columns=["robto"]))
    assert caught.value.hint == "Did you mean robot?"


def test_an_empty_dataset_has_the_columns_that_all_have(recordings: Dataset) -> None:
    found = recordings.where("size > 3 and name like '%.h5'")
    assert (found.count(), found.total_size()) == (0, 0)
    with pytest.raises(UsageError, match="unknown column robot"):
        recordings.where("robot = 'sawyer'").count()

"""Names: which are valid, which are the same, and what is suggested for the others."""

from __future__ import annotations

import pytest

from orbitpkg.errors import UsageError
from orbitpkg.model.names import canonical_name, is_valid_name, nearest


@pytest.mark.parametrize("name", ["a", "7", "model", "My.Model_v2", "a--b", "a" * 100])
def test_letters_digits_and_separators_inside_make_a_name(name: str) -> None:
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", ".", "..", "_x", "a b", "a/b", "modèle", "a\n", "\N{FULLWIDTH LATIN SMALL LETTER A}", "a" * 101],
)
def test_anything_else_is_not_a_name(name: str) -> None:
    assert not is_valid_name(name)


@pytest.mark.parametrize("name", ["my-model", "My_Model", "my.model", "MY-_.model"])
def test_names_that_differ_in_case_and_separators_are_the_same(name: str) -> None:
    assert canonical_name(name) == "my-model"


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("", "it is empty", "Use letters and digits, with '.', '_' or '-' between them."),
        ("my model", "' ' is not allowed", 'Did you mean "my-model"?'),
        ("modèle", r"'è' (U+00E8) is not allowed", 'Did you mean "modele"?'),
        ("-a.", "it must start and end with a letter or a digit", 'Did you mean "a"?'),
        (
            "日本",
            r"'日' (U+65E5), '本' (U+672C) are not allowed",
            "Use letters and digits, with '.', '_' or '-' between them.",
        ),
        ("a" * 101, "it has 101 characters; the maximum is 100", f'Did you mean "{"a" * 100}"?'),
    ],
)
def test_a_refused_name_is_reported_with_a_reason_and_a_suggestion(name: str, reason: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        canonical_name(name)
    assert (caught.value.data["reason"], caught.value.hint) == (reason, hint)


def test_a_very_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(UsageError) as caught:
        canonical_name("x" * 100_000)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("verison", ["name", "version", "include"], ["version"]),
        ("My_Modle", ["other", "my-model"], ["my-model"]),
        ("xyzzy", ["name", "version"], []),
        ("model", [], []),
        ("model1", ["model2", "model3", "model4", "model5"], ["model5", "model4", "model3"]),
    ],
)
def test_the_nearest_choices_come_best_first_in_their_own_spelling(
    word: str, choices: list[str], expected: list[str]
) -> None:
    assert nearest(word, choices) == expected

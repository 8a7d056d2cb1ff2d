"""What a project says: its requirements, its repositories, and which names are bound to which."""

from __future__ import annotations

import tomllib

import pytest

from orbitpkg.errors import ProjectError, UsageError
from orbitpkg.model.project import RepositorySetting, bound_to, check_binding, parse_project


def parsed(text: str) -> object:
    return parse_project(tomllib.loads(text), where="orbit.toml")


def test_requirements_and_repositories_come_in_the_order_of_the_file() -> None:
    document = parse_project(
        tomllib.loads(
            """
            requirements = ["zeta>=1", "alpha"]
            [repositories.second]
            url = "s3://second"
            mirrors = ["https://mirror.example.org"]
            packages = ["Acme_*"]
            [repositories.first]
            url = "./first"
            """
        ),
        where="orbit.toml",
    )
    assert [str(requirement) for requirement in document.requirements] == ["zeta>=1", "alpha"]
    assert document.repositories == (
        RepositorySetting(
            name="second", url="s3://second", mirrors=("https://mirror.example.org",), packages=("acme-*",)
        ),
        RepositorySetting(name="first", url="./first"),
    )


def test_an_empty_file_has_no_metadata() -> None:
    document = parse_project({}, where="orbit.toml")
    assert (document.requirements, document.repositories) == ((), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('requirements = "digits"', "requirements is not an array of strings"),
        ("requirements = [1]", "requirements is not an array of strings"),
        ('requirements = ["digits>>1"]', "requirements: Cannot parse"),
        ('requirements = ["digits>=1", "Digits<2"]', "digits>=1 and Digits<2 name the same package"),
        ('requirement = ["digits"]', "unknown setting 'requirement'"),
        ('repositories = ["x"]', "repositories is not a table"),
        ("[repositories.a]", "repositories.a has no url"),
        ("[repositories.a]\nurl = 1", "repositories.a has no url"),
        ('[repositories.a]\nurl = "x"\nmirror = "y"', "unknown setting 'mirror'"),
        ('[repositories.a]\nurl = "x"\nmirrors = "y"', "mirrors is not an array"),
        ('[repositories.a]\nurl = "x"\npackages = ["a b"]', "'a b' is not a valid package name or pattern"),
        ('[repositories]\na = "x"', "repositories.a is not a table"),
        ('[repositories."a/b"]\nurl = "x"', "'a/b' is not a valid repository name"),
    ],
)
def test_unusable_values_are_reported_with_their_location(text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parsed(text)
    assert message in caught.value.message
    assert caught.value.message.startswith("orbit.toml: ")


def test_a_misspelled_setting_and_two_spellings_give_the_right_spelling() -> None:
    with pytest.raises(ProjectError) as caught:
        parsed('requirement = ["digits"]')
    assert caught.value.hint == "Did you mean requirements?"
    with pytest.raises(ProjectError) as caught:
        parsed('requirements = ["My.Model>=1", "my_model<2"]')
    assert caught.value.hint == "Merge them: My.Model>=1,<2"


OURS = RepositorySetting(name="ours", url="s3://ours", packages=("acme-*", "digits"))
PUBLIC = RepositorySetting(name="public", url="https://public", packages=("acme-open",))


@pytest.mark.parametrize(
    ("name", "repository"),
    [("acme-x", "ours"), ("ACME_x.y", "ours"), ("digits", "ours"), ("acme-open", "public"), ("Acme.Open", "public")],
)
def test_a_name_is_bound_by_a_glob_and_before_that_by_itself(name: str, repository: str) -> None:
    bound = bound_to(name, [OURS, PUBLIC])
    assert bound is not None
    assert bound.name == repository


@pytest.mark.parametrize("name", ["acme", "digits2", "other"])
def test_other_names_are_not_bound(name: str) -> None:
    assert bound_to(name, [OURS, PUBLIC]) is None


def test_a_name_that_two_bind_is_an_error() -> None:
    other = RepositorySetting(name="other", url="s3://other", packages=("*",))
    with pytest.raises(ProjectError, match="acme-x is bound to several repositories: ours and other") as caught:
        bound_to("acme-x", [OURS, other])
    assert "acme-x" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "a b", "a/b", "[ab]", "a?"])
def test_a_glob_that_matches_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        check_binding(text)


def test_a_glob_is_spelled_as_names_are() -> None:
    assert [check_binding(text) for text in ("*", "Acme_*", "a.b")] == ["*", "acme-*", "a-b"]

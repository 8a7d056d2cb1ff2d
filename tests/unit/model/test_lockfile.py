"""Lockfiles: written in one way, read back whole or refused with the reason."""

from __future__ import annotations

import pytest

from orbitpkg.errors import LockfileError
from orbitpkg.model.lockfile import MAX_LOCK_BYTES, Lock, LockedPackage, package_requirements, parse_lock
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import parse_version


def locked(name: str, version: str = "1.0.0", *dependencies: str, repository: str = "ours") -> LockedPackage:
    return LockedPackage(
        name=name,
        version=parse_version(version),
        digest=f"{len(name):x}" * 64,
        size=1234,
        repository=repository,
        dependencies=dependencies,
    )


LOCK = Lock([locked("Zeta_Model", "2.0.0-rc.1", "alpha>=1,<2", "beta"), locked("beta"), locked("alpha", "1.5.0")])
TEXT = """\
# Written by orbitpkg. Keep it under version control; change it with orbitpkg add, lock and sync.
format = 1

[[package]]
name = "alpha"
version = "1.5.0"
digest = "5555555555555555555555555555555555555555555555555555555555555555"
size = 1234
repository = "ours"
dependencies = []

[[package]]
name = "beta"
version = "1.0.0"
digest = "4444444444444444444444444444444444444444444444444444444444444444"
size = 1234
repository = "ours"
dependencies = []

[[package]]
name = "Zeta_Model"
version = "2.0.0-rc.1"
digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
size = 1234
repository = "ours"
dependencies = [
  "alpha>=1,<2",
  "beta",
]

# end
"""


def refused(text: str | bytes) -> LockfileError:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(LockfileError) as caught:
        parse_lock(data, where="app/orbit.lock")
    assert "app/orbit.lock" in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_lock_is_written_in_one_way_and_read_back() -> None:
    assert LOCK.to_toml() == TEXT
    assert parse_lock(TEXT.encode()) == LOCK


def test_an_empty_lock_can_be_read() -> None:
    assert parse_lock(Lock().to_toml().encode()) == Lock()


def test_line_ends_of_another_system_do_not_matter() -> None:
    assert parse_lock(TEXT.replace("\n", "\r\n").encode()) == LOCK


def test_a_yank_is_written_as_one_line_and_read_back() -> None:
    package = LockedPackage(
        name="a", version=parse_version("1.0.0"), digest="a" * 64, size=1, repository="ours", yanked='x\n"\x01\x7f\\é'
    )
    text = Lock([package]).to_toml()
    assert 'repository = "ours"\nyanked = "x\\n\\"\\u0001\\u007f\\\\é"\ndependencies' in text
    assert parse_lock(text.encode()).packages["a"] == package


def test_one_packages_change_changes_its_lines_only() -> None:
    changed = Lock([*LOCK.packages.values(), locked("beta", "1.1.0")]).to_toml()
    pairs = zip(TEXT.splitlines(), changed.splitlines(), strict=True)
    assert [new for old, new in pairs if old != new] == ['version = "1.1.0"']


def test_a_lock_that_is_cut_short_anywhere_is_refused() -> None:
    whole = TEXT.rstrip().encode()
    for end in range(len(whole)):
        refused(whole[:end])


def test_a_lock_truncated_between_two_packages_is_reported_as_truncated() -> None:
    error = refused(TEXT[: TEXT.index('[[package]]\nname = "beta"')])
    assert "it is truncated" in error.message


@pytest.mark.parametrize("version", [2, 99, 2**63 - 1])
def test_a_newer_format_asks_for_an_upgrade(version: int) -> None:
    error = refused(TEXT.replace("format = 1", f"format = {version}"))
    assert f"has format {version}; this version of orbitpkg supports format 1" in error.message
    assert "pip install -U orbitpkg" in str(error.hint)


def test_a_merge_conflict_is_named_with_its_line() -> None:
    ours = TEXT.replace(
        'version = "1.5.0"', '<<<<<<< HEAD\nversion = "1.5.0"\n=======\nversion = "1.6.0"\n>>>>>>> theirs'
    )
    error = refused(ours)
    assert "contains a merge conflict in line 6" in error.message
    assert "git checkout --ours orbit.lock" in str(error.hint)


def test_two_spellings_of_one_name_are_one_package_locked_twice() -> None:
    second = TEXT[TEXT.index("[[package]]") : TEXT.index('[[package]]\nname = "beta"')].replace("alpha", "Alpha")
    error = refused(TEXT.replace("# end", f"{second}\n# end"))
    assert "the same package is locked twice: alpha==1.5.0 and Alpha==1.5.0" in error.message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("format = 1", "", '"format" is missing or not an integer'),
        ("format = 1", "format = true", '"format" is missing or not an integer'),
        ("format = 1", 'format = "1"', '"format" is missing or not an integer'),
        ('name = "beta"', 'name = "../beta"', "the name of package 2 is invalid: '../beta'"),
        ('name = "beta"', "name = 1", "the name of package 2 is invalid: 1"),
        ('version = "1.0.0"', 'version = "1.0"', "version of beta"),
        ('version = "1.0.0"', "version = 1.0", "version of beta"),
        ("4" * 64, "4" * 63, "digest of beta"),
        ("4" * 64, "G" * 64, "digest of beta"),
        ("size = 1234", "size = -1", "size of alpha"),
        ("size = 1234", "size = 1.0", "size of alpha"),
        ('repository = "ours"', 'repository = "s3://x"', "repository of alpha"),
        ("dependencies = []", "yanked = true\ndependencies = []", '"yanked" of alpha is not a string'),
        ("dependencies = []", 'dependencies = "beta"', "dependencies of alpha"),
        ("dependencies = []", "dependencies = [1]", "dependencies of alpha"),
        ("dependencies = []\n", "", "has no dependencies"),
        ("[[package]]", "[package]", ""),
        ("size = 1234", "size = 1234\nsize = 1234", ""),
    ],
)
def test_the_problems_of_a_package_are_reported(old: str, new: str, reason: str) -> None:
    assert reason in refused(TEXT.replace(old, new, 1)).message


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[[[[", b"format = 1", b"\0", b"x = " + b"[" * 5000, b"{}"])
def test_an_invalid_lockfile_is_refused(data: bytes) -> None:
    refused(data)


def test_a_lockfile_larger_than_the_bound_is_not_parsed() -> None:
    assert "the maximum is" in refused(b"#" * (MAX_LOCK_BYTES + 1)).message


def test_an_unreadable_dependency_is_reported_when_it_is_used() -> None:
    package = locked("alpha", "1.0.0", "beta>>1")
    with pytest.raises(LockfileError, match=r"a dependency of alpha==1\.0\.0"):
        package_requirements(package)


class TestStaleness:
    def stale(self, *requirements: str) -> list[str]:
        return LOCK.staleness([parse_requirement(text) for text in requirements])

    def test_a_lock_that_answers_all_is_not_stale(self) -> None:
        assert self.stale("zeta-model", "Alpha>=1") == []

    def test_a_requirement_that_is_not_locked(self) -> None:
        assert self.stale("zeta-model", "gamma>=1") == ["The project requires gamma>=1, which is not locked."]

    def test_a_requirement_that_allows_another_version(self) -> None:
        assert self.stale("zeta-model", "beta>=2") == ["The project requires beta>=2, but beta==1.0.0 is locked."]

    def test_a_package_that_nothing_needs(self) -> None:
        assert self.stale("alpha", "beta") == ["Zeta_Model==2.0.0-rc.1 is locked, but nothing requires it."]

    def test_a_dependency_that_is_not_locked_or_in_another_version(self) -> None:
        lock = Lock([locked("a", "1.0.0", "b>=2", "c"), locked("b")])
        assert lock.staleness([parse_requirement("a")]) == [
            "a==1.0.0 requires b>=2, but b==1.0.0 is locked.",
            "a==1.0.0 requires c, which is not locked.",
        ]

    def test_packages_that_need_one_another_in_a_circle(self) -> None:
        lock = Lock([locked("a", "1.0.0", "b"), locked("b", "1.0.0", "a")])
        assert lock.staleness([parse_requirement("a")]) == []
        assert len(lock.staleness([])) == 2

"""The rules of a sync, tested without a disk or a store."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.errors import UsageError
from orbitpkg.objects.protocol import ObjectInfo
from orbitpkg.remote.sameness import part_sizes
from orbitpkg.remote.sync_plan import Act, Conflict, Direction, LocalFile, Step, Synced, SyncPlan, plan_sync, undecided
from orbitpkg.remote.sync_trees import Filter, remote_tree

UP, DOWN = Direction.UP, Direction.DOWN
NOW = datetime(2026, 1, 2, tzinfo=UTC)
OLD = LocalFile(size=1, mtime_ns=int(NOW.timestamp()) * 10**9)
EDITED = replace(OLD, mtime_ns=OLD.mtime_ns + 1)
THERE = ObjectInfo(key="k", size=1, etag='"e1"', modified=NOW)
CHANGED = replace(THERE, etag='"e2"')
KNOWN = Synced(size=1, mtime_ns=OLD.mtime_ns, etag="e1")


def plan_one(
    local: LocalFile | None,
    remote: ObjectInfo | None,
    known: Synced | None,
    direction: Direction,
    *,
    same: bool = False,
    delete: bool = False,
    force: bool = False,
) -> SyncPlan:
    """Plan for one path, ``p``."""
    return plan_sync(
        {"p": local} if local else {},
        {"p": remote} if remote else {},
        {"p": known} if known else {},
        direction=direction,
        same={"p": same},
        delete=delete,
        force=force,
    )


def outcome(plan: SyncPlan) -> str:
    """Summarize a plan for one path in a word."""
    words = [str(step.act) for step in plan.steps] + ["conflict"] * len(plan.conflicts) + ["same"] * len(plan.same)
    assert len(words) + plan.unchanged <= 1
    return (words or ["unchanged" if plan.unchanged else "nothing"])[0]


@pytest.mark.parametrize(
    ("local", "remote", "known", "up", "down"),
    [
        (OLD, THERE, KNOWN, "unchanged", "unchanged"),
        (EDITED, THERE, KNOWN, "upload", "conflict"),
        (OLD, CHANGED, KNOWN, "conflict", "download"),
        (EDITED, CHANGED, KNOWN, "conflict", "conflict"),
        (OLD, None, None, "upload", "nothing"),
        (OLD, None, KNOWN, "upload", "nothing"),
        (None, THERE, None, "nothing", "download"),
        (None, THERE, KNOWN, "nothing", "download"),
        # Without a base, a newer file is uploaded, and a download never replaces a file.
        (EDITED, THERE, None, "upload", "conflict"),
        (replace(OLD, mtime_ns=OLD.mtime_ns - 1), THERE, None, "conflict", "conflict"),
        (EDITED, replace(THERE, modified=None), None, "conflict", "conflict"),
        # Without ETags, an object never counts as unchanged.
        (OLD, replace(THERE, etag=None), KNOWN, "conflict", "download"),
    ],
)
def test_the_plan_follows_the_rules(
    local: LocalFile | None, remote: ObjectInfo | None, known: Synced | None, up: str, down: str
) -> None:
    assert outcome(plan_one(local, remote, known, UP)) == up
    assert outcome(plan_one(local, remote, known, DOWN)) == down


@pytest.mark.parametrize(
    ("local", "remote", "known", "up", "down"),
    [
        (None, THERE, KNOWN, "delete object", "download"),
        (None, CHANGED, KNOWN, "conflict", "download"),
        (None, THERE, None, "conflict", "download"),
        (OLD, None, KNOWN, "upload", "delete file"),
        (EDITED, None, KNOWN, "upload", "conflict"),
        (OLD, None, None, "upload", "conflict"),
    ],
)
def test_a_path_deleted_at_the_source_is_deleted_unless_it_was_edited(
    local: LocalFile | None, remote: ObjectInfo | None, known: Synced | None, up: str, down: str
) -> None:
    assert outcome(plan_one(local, remote, known, UP, delete=True)) == up
    assert outcome(plan_one(local, remote, known, DOWN, delete=True)) == down


STATES = list(product([None, OLD, EDITED], [None, THERE, CHANGED], [None, KNOWN], [UP, DOWN], [False, True]))


@pytest.mark.parametrize(("local", "remote", "known", "direction", "delete"), STATES)
def test_force_leaves_no_conflicts_and_deletes_only_on_request(
    local: LocalFile | None, remote: ObjectInfo | None, known: Synced | None, direction: Direction, *, delete: bool
) -> None:
    plan = plan_one(local, remote, known, direction, delete=delete, force=True)
    assert plan.conflicts == ()
    assert delete or not {step.act for step in plan.steps} & {Act.DELETE_FILE, Act.DELETE_OBJECT}


@pytest.mark.parametrize(("local", "remote", "known", "direction", "delete"), STATES)
def test_without_force_no_edit_at_the_destination_is_lost(
    local: LocalFile | None, remote: ObjectInfo | None, known: Synced | None, direction: Direction, *, delete: bool
) -> None:
    plan = plan_one(local, remote, known, direction, delete=delete)
    if direction is DOWN and local is EDITED and (remote is not None or delete):
        assert plan.steps == ()
    if direction is UP and remote is CHANGED and known is not None:
        assert plan.steps == ()


@pytest.mark.parametrize(("local", "remote", "known", "direction", "delete"), STATES)
def test_equal_contents_are_not_transferred(
    local: LocalFile | None, remote: ObjectInfo | None, known: Synced | None, direction: Direction, *, delete: bool
) -> None:
    if local is not None and remote is not None:
        plan = plan_one(local, remote, known, direction, same=True, delete=delete)
        assert outcome(plan) in {"same", "unchanged"}


def test_only_possibly_equal_paths_are_compared_and_certainly_only_where_it_matters() -> None:
    larger = replace(CHANGED, size=2)
    assert undecided({"p": OLD}, {"p": THERE}, {"p": KNOWN}, direction=UP) == {}
    assert undecided({"p": EDITED}, {"p": larger}, {}, direction=UP) == {}
    assert undecided({"p": EDITED}, {}, {}, direction=UP) == {}
    assert undecided({"p": EDITED}, {"p": THERE}, {"p": KNOWN}, direction=UP) == {"p": False}
    assert undecided({"p": EDITED}, {"p": THERE}, {"p": KNOWN}, direction=DOWN) == {"p": True}
    assert undecided({"p": OLD}, {"p": CHANGED}, {"p": KNOWN}, direction=DOWN) == {"p": False}
    assert undecided({"p": OLD}, {"p": CHANGED}, {"p": KNOWN}, direction=UP) == {"p": True}
    assert undecided({"p": OLD}, {"p": THERE}, {}, direction=DOWN) == {"p": True}


def test_steps_are_sorted_by_path_with_deletions_last() -> None:
    plan = plan_sync({"b": OLD, "c": OLD}, {"a": THERE}, {"a": KNOWN}, direction=UP, same={}, delete=True)
    assert plan.steps == (
        Step(act=Act.UPLOAD, path="b", size=1),
        Step(act=Act.UPLOAD, path="c", size=1),
        Step(act=Act.DELETE_OBJECT, path="a"),
    )
    assert plan.size == 2


class TestFilters:
    @pytest.mark.parametrize(
        ("include", "exclude", "path", "taken"),
        [
            ([], [], "a/b.csv", True),
            (["*.csv"], [], "b.csv", True),
            (["*.csv"], [], "a/b.csv", True),
            (["*.csv"], [], "a/b.txt", False),
            (["data/*.csv"], [], "data/b.csv", True),
            (["data/*.csv"], [], "more/data/b.csv", False),
            (["data/**"], [], "data/a/b", True),
            (["*.csv", "*.txt"], ["tmp*"], "a/b.txt", True),
            (["*.csv", "*.txt"], ["tmp*"], "a/tmp1.txt", False),
            ([], ["a/**"], "a/b", False),
            ([], ["**"], "a", False),
            ([], [".git"], "a/.git/config", False),
            ([], [".git"], ".gitignore", True),
            ([], ["node*"], "node_modules/a/b", False),
            ([], ["a/b"], "a/b/c", True),
        ],
    )
    def test_patterns_match_names_at_any_depth_or_whole_paths(
        self, include: list[str], exclude: list[str], path: str, *, taken: bool
    ) -> None:
        assert Filter(include, exclude).takes(path) is taken

    @pytest.mark.parametrize(
        ("glob", "folder", "is_left_out"),
        [
            ("lost+found", "lost+found", True),
            ("lost+found", "deep/lost+found", True),
            ("a/**", "a", True),
            ("a/**", "b/a", False),
            ("*.csv", "a", False),
            ("**/tmp/**", "x/tmp", True),
            ("**", "a", False),
        ],
    )
    def test_an_excluded_folder_is_not_read(self, glob: str, folder: str, *, is_left_out: bool) -> None:
        assert Filter(exclude=[glob]).leaves_out(folder) is is_left_out

    @pytest.mark.parametrize("glob", ["", "/abs", "../up", "a\\b", "a**"])
    def test_an_invalid_pattern_is_refused(self, glob: str) -> None:
        with pytest.raises(UsageError):
            Filter([glob])


def listed(**sizes: int) -> list[ObjectInfo]:
    return [ObjectInfo(key=f"pre/{key}", size=size, etag='"e"', modified=NOW) for key, size in sizes.items()]


class TestKeys:
    def test_folder_markers_are_folders_rather_than_files(self) -> None:
        infos = listed(**{"": 0, "a/": 0, "b_$folder$": 0, "c/d": 1, "c/": 0, "../": 0})
        tree = remote_tree(infos, "pre/", Filter())
        assert (sorted(tree.files), sorted(tree.folders), tree.unusable) == (["c/d"], ["a", "b", "c"], {})

    def test_a_marker_with_content_is_an_object(self) -> None:
        tree = remote_tree(listed(**{"b_$folder$": 1, "a/": 1}), "pre/", Filter())
        assert sorted(tree.files) == ["b_$folder$"]
        assert tree.unusable == {"a/": "it ends in a slash but is not empty"}

    @pytest.mark.parametrize(
        "path",
        ["a//b", "/a", "../a", "a/../b", "./a", "a\\b", "a\nb", "a\x00b", "x" * 256, "a/" + "ü" * 128, ".orbitpkg-x"],
    )
    def test_a_key_that_cannot_be_a_local_path_is_reported_with_the_reason(self, path: str) -> None:
        tree = remote_tree(listed(**{path: 1}), "pre/", Filter())
        assert (tree.files, list(tree.unusable)) == ({}, [path])

    @pytest.mark.parametrize("path", ["a b/c d", "100%.csv", "ünï/ç", "a/" + "x" * 255, ".hidden", "a:b", "-", "a*"])
    def test_an_unusual_but_valid_key_is_a_path(self, path: str) -> None:
        assert list(remote_tree(listed(**{path: 1}), "pre/", Filter()).files) == [path]

    def test_an_object_with_others_below_it_is_reported(self) -> None:
        tree = remote_tree(listed(**{"d": 1, "d/e": 1, "d/e/f": 1, "dd": 1}), "pre/", Filter())
        assert (sorted(tree.files), sorted(tree.unusable)) == (["d/e/f", "dd"], ["d", "d/e"])

    def test_excluded_paths_are_not_reported(self) -> None:
        assert remote_tree(listed(**{"a//b": 1}), "pre/", Filter(include=["*.csv"])).unusable == {}


@given(st.lists(st.text(st.sampled_from("a./\\\n\x00ü~"), min_size=1, max_size=8), unique=True))
def test_no_key_escapes_the_folder_or_collides_with_another(keys: list[str]) -> None:
    infos = [ObjectInfo(key=f"pre/{key}", size=1, etag='"e"', modified=NOW) for key in keys]
    tree = remote_tree(infos, "pre/", Filter())
    assert sorted([*tree.files, *tree.unusable]) == sorted(keys)
    places = [os.path.normpath(f"/root/{path}") for path in tree.files]
    assert len(set(places)) == len(places)
    for place, path in zip(places, tree.files, strict=True):
        assert place == f"/root/{path}"
        assert not any(other.startswith(f"{place}/") for other in places)


@given(size=st.integers(1, 10**12), part=st.integers(1, 10**10))
def test_every_candidate_part_size_gives_the_number_of_parts(size: int, part: int) -> None:
    count = -(-size // part)
    assert all(-(-size // guess) == count for guess in part_sizes(size, count))


@pytest.mark.parametrize("mib", [5, 8, 15, 16, 50, 64, 100])
def test_the_part_sizes_of_common_tools_are_candidates(mib: int) -> None:
    size = 12 * mib * 2**20 + 17
    assert mib * 2**20 in part_sizes(size, 13)


def test_times_are_compared_to_the_microsecond() -> None:
    just_before = replace(THERE, modified=NOW - timedelta(microseconds=1))
    assert outcome(plan_one(OLD, just_before, None, UP)) == "upload"
    assert plan_one(OLD, THERE, None, UP).conflicts == (
        Conflict(path="p", reason="the destination has a newer object that was never synced"),
    )

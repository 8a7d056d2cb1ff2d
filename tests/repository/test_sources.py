"""Releases as repositories offer them: what is asked for, and what at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import RepositoryUnreachable
from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
from orbitpkg.model.project import RepositorySetting
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import parse_version
from orbitpkg.repository.indexing import update_index
from orbitpkg.repository.layout import releases_prefix
from orbitpkg.repository.repository import Repository
from orbitpkg.repository.repository_set import RepositorySet
from orbitpkg.store.store import Store
from tests.faulty_store import Fault, Faults, FaultyStore
from tests.records import record_of
from tests.registries import NO_APPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectInfo

_PATIENCE = 20.0


class Together(FaultyStore):
    """A store that answers listings of some packages only when all of them were asked for."""

    def __init__(self, *waves: set[str]) -> None:
        super().__init__(faults=Faults())
        self._waves = [({releases_prefix(name) for name in wave}, threading.Barrier(len(wave))) for wave in waves]
        self.is_strict = False
        self.listed: list[str] = []

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Wait for the others."""
        if self.is_strict:
            self.listed.append(prefix)
            for wave, barrier in self._waves:
                if prefix in wave:
                    barrier.wait(_PATIENCE)
        return super().list(prefix)


def fill(store: FaultyStore, **packages: dict[str, dict[str, str]]) -> None:
    repository = Repository(store)
    for name, versions in packages.items():
        for version, needs in versions.items():
            repository.commit(record_of(name, version, dependencies=needs))
        update_index(repository, name)


def source_of(store: FaultyStore, home: Path) -> RepositorySource:
    setting = RepositorySetting(name="ours", url=store.url)
    return RepositorySource(RepositorySet([setting], lambda _: Repository(store), cache=None), Store(home), {})


def chosen(source: RepositorySource, *asked: str, prefer: dict[str, str] | None = None) -> dict[str, str]:
    preferred = {name: parse_version(version) for name, version in (prefer or {}).items()}
    found = resolve_as_recorded([parse_requirement(text) for text in asked], source, apps=NO_APPS, prefer=preferred)
    return {name: str(release.version) for name, release in found.releases.items()}


def test_what_several_packages_need_is_asked_for_at_once(tmp_path: Path) -> None:
    store = Together({"a", "b"}, {"c", "d", "e"}, {"f", "g"})
    fill(
        store,
        a={"1.0.0": {"c": ""}, "2.0.0": {"c": "", "d": ">=1"}, "3.0.0-rc.1": {"nobodys": ""}},
        b={"1.0.0": {"e": ""}},
        c={"1.0.0": {"f": "", "a": ""}, "2.0.0": {"f": "", "g": ""}},
        d={"1.0.0": {}},
        e={"1.0.0": {}},
        f={"1.0.0": {}},
        g={"1.0.0": {}},
    )
    store.is_strict = True
    found = chosen(source_of(store, tmp_path), "a", "b")
    assert found == {"a": "2.0.0", "b": "1.0.0", "c": "2.0.0", "d": "1.0.0", **dict.fromkeys("efg", "1.0.0")}
    assert len(store.listed) == len(set(store.listed)) == 7


def test_what_the_preferred_and_the_exact_versions_need_is_asked_for_and_no_more(tmp_path: Path) -> None:
    store = Together({"c", "d"})
    fill(
        store,
        a={"1.0.0": {"c": ""}, "2.0.0": {"far": ""}},
        b={"1.0.0": {"d": ""}, "2.0.0": {"far": ""}},
        c={"1.0.0": {}},
        d={"1.0.0": {}},
        far={"1.0.0": {}},
    )
    store.is_strict = True
    found = chosen(source_of(store, tmp_path), "a", "b==1.0.0", prefer={"a": "1.0.0"})
    assert found == dict.fromkeys("abcd", "1.0.0")
    assert sorted(store.listed) == [releases_prefix(name) for name in "acd"]


def test_what_turns_out_not_to_be_needed_may_be_out_of_reach(tmp_path: Path) -> None:
    store = FaultyStore(faults=Faults())
    fill(store, a={"1.0.0": {}, "2.0.0": {"far": ""}}, b={"1.0.0": {"a": "<2"}}, far={"1.0.0": {}})
    store.faults.faults.append(Fault(kind="before", key="releases/far/*", times=None))
    assert chosen(source_of(store, tmp_path), "b", "a") == {"a": "1.0.0", "b": "1.0.0"}
    with pytest.raises(RepositoryUnreachable):
        chosen(source_of(store, tmp_path), "far")

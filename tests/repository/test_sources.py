"""Releases as repositories offer them: what is asked for, and what at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import IntegrityError, RepositoryUnreachable, UnsupportedByStore
from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
from orbitpkg.model.project import RepositorySetting
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import parse_version
from orbitpkg.repository.index import Index, IndexEntry
from orbitpkg.repository.indexing import update_index
from orbitpkg.repository.layout import index_key, releases_prefix
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


def test_shared_dependencies_are_requested_at_once(tmp_path: Path) -> None:
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


def test_only_dependencies_of_preferred_and_exact_versions_are_requested(tmp_path: Path) -> None:
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


def test_releases_that_are_not_needed_may_be_unreachable(tmp_path: Path) -> None:
    store = FaultyStore(faults=Faults())
    fill(store, a={"1.0.0": {}, "2.0.0": {"far": ""}}, b={"1.0.0": {"a": "<2"}}, far={"1.0.0": {}})
    store.faults.faults.append(Fault(kind="before", key="releases/far/*", times=None))
    assert chosen(source_of(store, tmp_path), "b", "a") == {"a": "1.0.0", "b": "1.0.0"}
    with pytest.raises(RepositoryUnreachable):
        chosen(source_of(store, tmp_path), "far")


class Website(FaultyStore):
    """A store without listings, as a web server is, that counts the requests for records."""

    def __init__(self, *, lists: bool = False) -> None:
        super().__init__(faults=Faults())
        self.lists = True
        self.records = self.listings = 0
        self._keeps_listing = lists

    def close_listings(self) -> None:
        """Refuse listings from now on, if the store has none, and start counting."""
        self.lists = self._keeps_listing
        self.records = self.listings = 0

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects, or refuse."""
        if not self.lists:
            raise UnsupportedByStore("No listings.")
        self.listings += 1
        return super().list(prefix)

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Count reads of records."""
        self.records += key.startswith(releases_prefix("model"))
        return super().get(key, max_bytes=max_bytes, version=version)


def index_without_records(store: FaultyStore, number: int) -> None:
    """Write an index of a package that lists releases of which only 1.0.0 has a record."""
    repository = Repository(store)
    repository.commit(record_of("model", "1.0.0"))
    index = update_index(repository, "model")
    entry = IndexEntry(digest="ab" * 32, size=1, published="2026-01-31T12:00:00Z")
    more = {parse_version(f"2.0.{patch}"): entry for patch in range(number)}
    store.put(index_key("model"), Index(name="model", releases={**index.releases, **more}).to_json())


@pytest.mark.timeout(120)
def test_an_index_of_many_versions_without_records_costs_few_requests(tmp_path: Path) -> None:
    store = Website()
    index_without_records(store, 10_000)
    store.close_listings()
    with pytest.raises(IntegrityError, match="lists at least 16 releases without a record"):
        chosen(source_of(store, tmp_path), "model")
    assert store.records <= 20


@pytest.mark.timeout(120)
def test_one_listing_corrects_an_index_of_many_versions_without_records(tmp_path: Path) -> None:
    store = Website(lists=True)
    index_without_records(store, 10_000)
    store.close_listings()
    assert chosen(source_of(store, tmp_path), "model") == {"model": "1.0.0"}
    assert store.records <= 5
    assert store.listings <= 5


@pytest.mark.timeout(120)
def test_some_versions_without_records_are_passed_over(tmp_path: Path) -> None:
    store = Website()
    index_without_records(store, 3)
    store.close_listings()
    assert chosen(source_of(store, tmp_path), "model") == {"model": "1.0.0"}

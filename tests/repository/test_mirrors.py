"""Mirrors that lag, or are cut short: what one of them lacks is not absent, and nothing takes its place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import AccessDenied, ObjectNotFound, RepositoryUnreachable
from orbitpkg.model.project import RepositorySetting
from orbitpkg.model.versions import parse_version
from orbitpkg.repository.cache import Cache
from orbitpkg.repository.catalogue import Catalogue
from orbitpkg.repository.indexing import announce, update_index
from orbitpkg.repository.layout import index_key, record_key
from orbitpkg.repository.mirrors import MirroredStore
from orbitpkg.repository.repository import Repository
from orbitpkg.repository.repository_set import RepositorySet
from tests.faulty_store import Fault, Faults, FaultyStore
from tests.records import record_of

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectStore

SILENCE = Fault(kind="before", times=None)
OLD, NEW = "1.0.0", "2.0.0"
_numbers = itertools.count()


def store(*versions: str, name: str = "model", silent: bool = False) -> FaultyStore:
    """A store with a repository that has these versions of a package."""
    objects = FaultyStore(f"mirror-{next(_numbers)}", faults=Faults())
    repository = Repository(objects)
    for version in versions:
        marker = announce(repository, name)
        repository.commit(record_of(name, version))
        update_index(repository, name, marker=marker)
    if silent:
        objects.faults.faults.append(SILENCE)
    return objects


def seen(*stores: FaultyStore, cache: Cache | None = None, one_page: int = 990) -> list[str]:
    catalogue = Catalogue(Repository(MirroredStore(stores)), cache, mirrored=True, one_page=one_page)
    return [str(version) for version in catalogue.stock("model").versions]


@pytest.mark.parametrize(
    "mirrors", [(store(OLD), store(OLD, NEW)), (store(OLD, NEW), store(OLD)), (store(), store(OLD, NEW))]
)
def test_objects_missing_from_one_mirror_come_from_another(mirrors: tuple[FaultyStore, ...]) -> None:
    stores = (store(OLD, NEW, silent=True), *mirrors)
    assert seen(*stores) == [OLD, NEW]
    repository = Repository(MirroredStore(stores))
    assert repository.find_release("model", parse_version(NEW)) is not None
    assert repository.names() == ["model"]


@pytest.mark.parametrize("listed", [(False, False, False), (False, True, True), (False, False, True)])
def test_late_mirrors_of_a_web_server_are_put_together_too(listed: tuple[bool, ...]) -> None:
    """It has no listing, and says so without being asked: its silence is noticed by the index."""
    stores = [store(OLD, NEW, silent=True), store(OLD), store(OLD, NEW)]
    for each, is_listed in zip(stores, listed, strict=True):
        each.faults.no_listing = not is_listed
        if not is_listed:
            each.faults.faults[:] = [replace(fault, operation="[!l]*") for fault in each.faults.faults]
    assert seen(*stores) == [OLD, NEW]


def test_a_mirror_that_denies_is_not_the_last_that_is_asked() -> None:
    denying = store(OLD)
    denying.faults.faults.append(Fault(kind="before", times=None, error=lambda: AccessDenied("no")))
    assert seen(store(silent=True), denying, store(OLD)) == [OLD]
    with pytest.raises(AccessDenied):
        seen(store(silent=True), denying)


def test_answers_of_the_repository_are_not_requested_from_its_mirrors() -> None:
    first, mirror = store(OLD), store(OLD, NEW)
    before = list(mirror.faults.requests)
    assert seen(first, mirror) == [OLD]
    with pytest.raises(ObjectNotFound):
        MirroredStore([first, mirror]).get(record_key("model", parse_version(NEW)))
    assert mirror.faults.requests == before


def test_objects_missing_from_every_mirror_are_not_reported_as_absent() -> None:
    stores = (store(OLD, NEW, silent=True), store(OLD), store(OLD))
    repository = Repository(MirroredStore(stores))
    with pytest.raises(RepositoryUnreachable, match=r"does not respond, and none of its mirrors has model 2\.0\.0"):
        repository.find_release("model", parse_version(NEW))
    with pytest.raises(RepositoryUnreachable, match="does not respond, and none of its mirrors has other"):
        Catalogue(repository, None, mirrored=True).stock("other")


def test_a_name_that_a_mirror_lacks_is_not_taken_from_another_repository() -> None:
    """The silent repository may have the name, so a package of that name elsewhere is not installed."""
    ours, theirs = MirroredStore([store(OLD, silent=True), store()]), store("9.0.0")
    stores: dict[str, ObjectStore] = {"ours": ours, "theirs": theirs}
    settings = [
        RepositorySetting(name="ours", url="https://ours.example", mirrors=("https://mirror.example",)),
        RepositorySetting(name="theirs", url="https://theirs.example"),
    ]
    places = RepositorySet(settings, lambda setting: Repository(stores[setting.name]), cache=None)
    with pytest.raises(RepositoryUnreachable):
        places.home("model")
    settings.reverse()
    with pytest.raises(RepositoryUnreachable):
        RepositorySet(settings, lambda setting: Repository(stores[setting.name]), cache=None).home("model")


@pytest.mark.parametrize("one_page", [0, 990])
def test_a_late_mirror_does_not_hide_known_releases(tmp_path: Path, one_page: int) -> None:
    cache = Cache(tmp_path / "cache")
    first, late = store(OLD, NEW), store(OLD)
    assert seen(first, late, cache=cache, one_page=one_page) == [OLD, NEW]
    first.faults.faults.append(SILENCE)
    if one_page == 0:  # of a large package the index is asked, and what it told before is not forgotten
        assert seen(first, late, cache=cache, one_page=one_page) == [OLD, NEW]
        late.delete(index_key("model"))
        assert seen(first, late, cache=cache, one_page=one_page) == [OLD, NEW]
    else:
        assert seen(first, late, cache=cache, one_page=one_page) == [OLD]
    first.faults.faults.clear()
    assert seen(first, late, cache=cache, one_page=one_page) == [OLD, NEW]


def test_silence_is_reported_once_and_is_an_error_if_all_are_silent() -> None:
    told: list[str] = []
    objects = MirroredStore([store(OLD, silent=True), store(OLD)], tell=told.append)
    for _ in range(2):
        objects.get(record_key("model", parse_version(OLD)))
    assert len(told) == 1
    with pytest.raises(RepositoryUnreachable):
        seen(store(OLD, silent=True), store(OLD, silent=True))

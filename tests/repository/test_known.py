"""What this machine knows of a release binds: repositories and mirrors that report something else are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import remove
from orbitpkg.api.publish import publish
from orbitpkg.api.repository import init_repository
from orbitpkg.errors import IntegrityError, RepositoryNotFound
from orbitpkg.filesystem.orbit import OrbitFileSystem
from orbitpkg.model.jsontext import canonical_json
from tests.packages import make_package

# Port 9 of this machine (discard) refuses connections at once.
SILENT = "http://127.0.0.1:9/models"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    return tmp_path / "home"


def configure(**urls: str | tuple[str, str]) -> None:
    """Write the project's repositories: a name, and an address or an address with that of a mirror."""
    tables = []
    for name, url in urls.items():
        first, *mirrors = (url,) if isinstance(url, str) else url
        tables.append(f"[repositories.{name}]\nurl = {json.dumps(first)}\nmirrors = {json.dumps(mirrors)}\n")
    Path("orbit.toml").write_text("\n".join(tables))


def forge(repository: Path, **changes: object) -> None:
    """Change the record and the index of model 1.0.0, as whoever can write to a mirror may."""
    record = repository / "releases/model/1.0.0.json"
    table = json.loads(record.read_bytes()) | changes
    record.write_bytes(canonical_json(table))
    import hashlib

    index = repository / "index/model.json"
    rows = json.loads(index.read_bytes())
    rows["releases"]["1.0.0"]["digest"] = hashlib.sha256(record.read_bytes()).hexdigest()
    for key in ("dependencies", "compatibility"):
        if key in changes:
            rows["releases"]["1.0.0"][key] = changes[key]
    index.write_bytes(canonical_json(rows))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with one release, which this machine has installed and removed again."""
    publish(make_package(tmp_path / "model"), tmp_path / "models")
    configure(ours=str(tmp_path / "models"))
    install("model")
    remove("model")
    return tmp_path / "models"


def take_down(models: Path) -> Path:
    """Make the repository unreachable, and return a copy of it that serves as a mirror."""
    mirror = models.parent / "mirror"
    shutil.copytree(models, mirror)
    return mirror


@pytest.mark.parametrize("requirement", ["model", "model==1.0.0"])
def test_a_replaced_release_is_refused(models: Path, requirement: str) -> None:
    before = json.loads((models / "index/model.json").read_bytes())["releases"]["1.0.0"]["digest"]
    forge(models, description="forged")
    with pytest.raises(IntegrityError, match="is not the release that this machine knows") as caught:
        install(requirement)
    assert caught.value.data["expected"] == before
    assert before in caught.value.message
    assert str(caught.value.data["found"]) in caught.value.message


def test_the_answer_of_a_mirror_does_not_outweigh_what_is_known(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orbitpkg.errors import RepositoryUnreachable
    from orbitpkg.objects.directory import DirectoryStore

    mirror = take_down(models)
    forge(mirror, description="forged")
    configure(ours=(str(models), str(mirror)))

    def silent(store: DirectoryStore, *_: object, **__: object) -> object:
        raise RepositoryUnreachable(f"{store.url} does not respond.", url=store.url)

    for name in ("get", "get_if_changed", "list", "head", "get_range", "stream"):
        real = getattr(DirectoryStore, name)

        def answer(store: DirectoryStore, *args: object, _real: object = real, **more: object) -> object:
            if store.root == models:
                return silent(store)
            assert callable(_real)
            return _real(store, *args, **more)

        monkeypatch.setattr(DirectoryStore, name, answer)
    for requirement in ("model", "model==1.0.0"):
        with pytest.raises(IntegrityError) as caught:
            install(requirement)
        assert str(caught.value.data["expected"]) in caught.value.message
        assert str(caught.value.data["found"]) in caught.value.message


@pytest.mark.parametrize("requirement", ["model", "model==1.0.0"])
def test_a_repository_that_is_not_there_does_not_count_as_one_without_the_package(
    models: Path, tmp_path: Path, requirement: str
) -> None:
    publish(make_package(tmp_path / "stranger", files={"x": b"theirs"}), tmp_path / "theirs")
    (tmp_path / "unmounted").mkdir()
    for gone in (tmp_path / "unmounted", tmp_path / "mistyped"):
        configure(ours=str(gone), theirs=str(tmp_path / "theirs"))
        with pytest.raises(RepositoryNotFound, match="There is no repository at"):
            install(requirement)
    init_repository(tmp_path / "unmounted")
    configure(ours=str(tmp_path / "unmounted"), theirs=str(tmp_path / "theirs"))
    assert install(requirement).path.joinpath("x").read_bytes() == b"theirs"
    assert models.exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dependencies": {"other": ">=1"}}, "dependencies"),
        ({"compatibility": {"app": ">=1"}}, "compatibility"),
    ],
)
def test_a_record_that_disagrees_with_its_archive_is_refused(
    tmp_path: Path, changes: dict[str, object], what: str
) -> None:
    publish(make_package(tmp_path / "other", name="other"), tmp_path / "models")
    publish(make_package(tmp_path / "model"), tmp_path / "models")
    shutil.rmtree(tmp_path / "home")  # this machine knows nothing yet
    forge(tmp_path / "models", **changes)
    with pytest.raises(IntegrityError, match=f"does not agree with the record of the release about: {what}"):
        install("model==1.0.0", repository=tmp_path / "models")
    with pytest.raises(IntegrityError, match="does not agree"):
        OrbitFileSystem(repository=tmp_path / "models").cat("model@1.0.0/data/labels.csv")


def test_a_record_names_its_own_archive(tmp_path: Path) -> None:
    publish(make_package(tmp_path / "model"), tmp_path / "models")
    shutil.rmtree(tmp_path / "home")
    archive = json.loads((tmp_path / "models/releases/model/1.0.0.json").read_bytes())["archive"]
    forge(tmp_path / "models", archive=archive | {"key": "archives/other/other-1.0.0-0123456789ab.tar.zst"})
    with pytest.raises(IntegrityError, match="invalid archive key"):
        install("model==1.0.0", repository=tmp_path / "models")

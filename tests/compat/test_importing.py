"""Import: packages of an old bucket become releases of a repository, or are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orbitpkg
from orbitpkg.api.packages import verify
from orbitpkg.api.publish import publish
from orbitpkg.api.search import released, search, versions
from orbitpkg.compat.sputnik.importing import Imported, ImportOutcome, import_packages
from orbitpkg.errors import BucketNotFound, OfflineError, UnsafeRepository, UsageError
from orbitpkg.objects import open_store
from tests.cli.machine import Machine
from tests.compat.old_format import FILES, old_bucket, old_package, put_archive, put_package
from tests.packages import make_package, noise, tree_of

if TYPE_CHECKING:
    from orbitpkg.objects import ObjectStore
    from tests.servers.processes import S3Server

pytestmark = pytest.mark.usefixtures("home")

KEPT = Path(__file__).with_name("archives")
EVERYTHING = [("other", "1.0.0"), ("test", "1.0.0"), ("test", "9.0.0"), ("test", "10.0.0")]


@pytest.fixture
def old(tmp_path: Path) -> ObjectStore:
    """A copy of a PyOrbital bucket."""
    store = open_store((tmp_path / "old").as_uri())
    old_bucket(store)
    return store


def bring(old: ObjectStore, new: str, **options: Any) -> list[Imported]:
    return list(import_packages(f"sputnik+{old.url}", new, **options))


def outcomes(results: list[Imported]) -> dict[str, ImportOutcome]:
    return {each.ident: each.outcome for each in results}


def everything_in(repository: str) -> list[tuple[str, str]]:
    names = [found.name for found in search(repository=repository)]
    return [(name, version) for name in sorted(names) for version in versions(name, repository=repository)]


def _order(release: tuple[str, str]) -> tuple[str, list[int]]:
    return release[0], [int(number) for number in release[1].split(".")]


def test_every_package_and_version_is_imported_with_its_metadata(old: ObjectStore, tmp_path: Path) -> None:
    new = (tmp_path / "new").as_uri()
    results = bring(old, new)
    assert {each.outcome for each in results} == {ImportOutcome.IMPORTED}
    assert everything_in(new) == EVERYTHING
    other = released("other", repository=new)
    assert (other.description, other.compatibility) == ("Words.", {"my_library": ">=1.1.1"})
    test = released("test", repository=new)
    assert test.license == "public domain"
    kept: Any = test.metadata["sputnik"]
    assert (kept["ident"], kept["version"]) == ("test-10.0.0", "10.0.0")
    package = orbitpkg.install("test==9.0.0", repository=new)
    files = {path: data for path, (data, _) in tree_of(package.path).items() if path != "package.json"}
    assert files == {**FILES, "data/version": b"9.0.0"}


def test_an_imported_release_equals_the_one_installed_from_the_old_bucket(old: ObjectStore, tmp_path: Path) -> None:
    """Users who installed from the old bucket need not reinstall."""
    before = orbitpkg.install("test", repository=f"sputnik+{old.url}")
    bring(old, str(tmp_path / "new"))
    after = orbitpkg.install("test", repository=tmp_path / "new")
    assert after == before
    assert [found for _, found in verify()] == [[]]


def test_a_second_import_reads_no_archive(old: ObjectStore, tmp_path: Path) -> None:
    bring(old, str(tmp_path / "new"))
    for archive in (tmp_path / "old").rglob("archive.gz"):
        archive.unlink()
    results = bring(old, str(tmp_path / "new"))
    assert {each.outcome for each in results} == {ImportOutcome.EXISTS}


def test_packages_added_later_are_imported_next_time(old: ObjectStore, tmp_path: Path) -> None:
    bring(old, str(tmp_path / "new"))
    put_package(old, *old_package(version="11.0.0"))
    results = bring(old, str(tmp_path / "new"))
    assert [each.ident for each in results if each.outcome is ImportOutcome.IMPORTED] == ["test-11.0.0"]


def test_a_dry_run_reports_and_changes_nothing(old: ObjectStore, tmp_path: Path) -> None:
    put_package(old, *old_package(version="abc"))
    old.put("cut-1.0.0/archive.gz", b"half")
    put_package(old, *old_package(name="short"))
    (tmp_path / "old" / "short-1.0.0" / "archive.gz").write_bytes(b"half")
    told = outcomes(bring(old, str(tmp_path / "new"), dry_run=True))
    assert not (tmp_path / "new").exists()
    done = outcomes(bring(old, str(tmp_path / "new")))
    assert {ident for ident, outcome in told.items() if outcome is ImportOutcome.WOULD_IMPORT} == {
        ident for ident, outcome in done.items() if outcome is ImportOutcome.IMPORTED
    }
    left_out = {ident for ident, outcome in done.items() if outcome is ImportOutcome.SKIPPED}
    assert left_out == {"test-abc", "cut-1.0.0", "short-1.0.0"}
    assert left_out == {ident for ident, outcome in told.items() if outcome is ImportOutcome.SKIPPED}


def test_packages_that_cannot_be_imported_are_reported_with_the_reason(old: ObjectStore, tmp_path: Path) -> None:
    put_package(old, *old_package(version="abc"))
    put_package(old, *old_package(name="evil"))
    put_package(old, *old_package(version="1.0"))
    put_package(old, *old_package({"x": b"y"}, name="vague", compatibility={"app": "newest"}))
    put_package(old, *old_package({"a/x": b"1", "A/y": b"2"}, name="case"))
    old.put("broken-1.0.0/meta.json", b"<Error/>")
    altered = tmp_path / "old" / "evil-1.0.0" / "archive.gz"
    altered.write_bytes(altered.read_bytes()[:-1] + b"x")
    results = {each.ident: each for each in bring(old, str(tmp_path / "new"))}
    reasons = {ident: each.reason for ident, each in results.items() if each.reason is not None}
    assert reasons["test-abc"] == "'abc' is not a valid version: it does not consist of three numbers."
    assert reasons["test-1.0"] == "test-1.0 and test-1.0.0 both convert to test 1.0.0."
    assert "has the MD5" in reasons["evil-1.0.0"]
    assert "not a valid PEP 440 version specifier" in reasons["vague-1.0.0"]
    assert "only in letter case" in reasons["case-1.0.0"]
    assert "not valid JSON" in reasons["broken-1.0.0"]
    assert len(reasons) == 6
    assert everything_in(str(tmp_path / "new")) == EVERYTHING


def test_a_version_published_by_someone_else_is_not_replaced(old: ObjectStore, tmp_path: Path) -> None:
    new = (tmp_path / "new").as_uri()
    publish(make_package(tmp_path / "package", name="test", version="9.0.0"), new)
    for dry_run in (True, False):
        results = {each.ident: each for each in bring(old, new, dry_run=dry_run)}
        error = results["test-9.0.0"].error
        assert error is not None
        assert error.code == "release-exists"
    assert "sputnik" not in released("test==9.0.0", repository=new).metadata
    assert everything_in(new) == EVERYTHING


def test_versions_share_their_common_chunks(tmp_path: Path) -> None:
    old = open_store((tmp_path / "old").as_uri())
    data = noise(3_000_000)
    for version in ("1.0.0", "1.0.1"):
        put_package(old, *old_package({"weights": data, "version": version.encode()}, version=version))
    new = (tmp_path / "new").as_uri()
    bring(old, new)
    sizes = [released(f"test=={version}", repository=new).archive.size for version in ("1.0.0", "1.0.1")]
    assert abs(sizes[0] - sizes[1]) < 1000


class TestWrongWords:
    def test_an_address_of_another_kind_is_refused(self, old: ObjectStore, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"sputnik\+s3://bucket/models"):
            list(import_packages("s3://bucket/models", str(tmp_path)))
        with pytest.raises(UsageError):
            list(import_packages("sputnik+ftp://host", str(tmp_path)))
        with pytest.raises(UsageError, match="are read-only"):
            bring(old, f"sputnik+{old.url}")

    def test_a_password_in_an_address_is_not_shown(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as refused:
            list(import_packages("https://user:secret@host/models", str(tmp_path)))
        assert "secret" not in str(refused.value)

    def test_offline_no_request_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(OfflineError):
            list(import_packages("sputnik+s3://bucket/models", str(tmp_path), offline=True))

    def test_an_empty_repository_imports_nothing(self, tmp_path: Path) -> None:
        assert bring(open_store((tmp_path / "nothing").as_uri()), str(tmp_path / "new")) == []
        assert not (tmp_path / "new").exists()


class TestBuckets:
    @pytest.fixture(params=["moto", "ceph"])
    def server(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
        """AWS as simulated by moto, and a production object store."""
        found: S3Server = request.getfixturevalue(request.param)
        for name, value in found.env().items():
            monkeypatch.setenv(name, value)
        return found

    def test_a_pyorbital_bucket_is_imported_into_another_bucket(self, server: S3Server) -> None:
        old, new = f"s3://{server.new_bucket()}/models", f"s3://{server.new_bucket()}/prefix"
        old_bucket(open_store(old))
        for archive in KEPT.glob("*.sputnik"):
            put_archive(open_store(old), archive)
        before = sorted((info.key, info.etag) for info in open_store(old).list(""))
        results = list(import_packages(f"sputnik+{old}", new))
        assert {each.outcome for each in results} == {ImportOutcome.IMPORTED}
        assert {each.outcome for each in import_packages(f"sputnik+{old}", new)} == {ImportOutcome.EXISTS}
        assert everything_in(new) == sorted(
            [*EVERYTHING, ("my_model", "1.0.0"), ("orbital_test_model", "2.0.0")], key=_order
        )
        assert orbitpkg.install("test", repository=new).version == "10.0.0"
        assert orbitpkg.install("my_model", repository=new).file_path("grüße.txt").read_text() == "grüße"
        assert sorted((info.key, info.etag) for info in open_store(old).list("")) == before

    def test_a_bucket_that_does_not_exist_is_reported(self, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in moto.env().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BucketNotFound):
            list(import_packages("sputnik+s3://there-is-no-such-bucket/models", "s3://nor-this/models"))

    def test_a_store_that_ignores_create_only_writes_is_refused(
        self, rclone: S3Server, old: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in rclone.env().items():
            monkeypatch.setenv(name, value)
        new = f"s3://{rclone.new_bucket()}/models"
        with pytest.raises(UnsafeRepository):
            bring(old, new)
        assert {each.outcome for each in bring(old, new, unsafe_single_writer=True)} == {ImportOutcome.IMPORTED}


class TestCommand:
    def test_it_prints_a_line_per_package_and_fails_if_one_is_skipped(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path / "machine")
        machine.folder.mkdir()
        old = open_store((tmp_path / "old").as_uri())
        put_package(old, *old_package({"x": b"12345"}, version="1.0"))
        source = f"sputnik+{old.url}"
        would = machine.run("import", source, "--repository", "./new", "--dry-run")
        assert (would.code, would.out) == (0, "test-1.0, as test 1.0.0: would be imported, 1 file, 5 bytes\n")
        done = machine.run("import", source, "--repository", "./new", "--quiet")
        assert (done.code, done.out, done.err) == (0, "test-1.0, as test 1.0.0: imported, 1 file, 5 bytes\n", "")
        put_package(old, *old_package(version="abc"))
        failed = machine.run("import", source, "--repository", "./new")
        assert failed.code == 1
        assert failed.out == (
            "test-1.0, as test 1.0.0: already imported, 1 file, 5 bytes\n"
            "test-abc: skipped. 'abc' is not a valid version: it does not consist of three numbers.\n"
        )
        assert "error: Could not import 1 of 2 packages: test-abc." in failed.err

    def test_json_output_has_the_same_facts(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path / "machine")
        machine.folder.mkdir()
        old = open_store((tmp_path / "old").as_uri())
        put_package(old, *old_package(version="abc"))
        envelope = machine.run("import", f"sputnik+{old.url}", "--json").envelope
        assert envelope["ok"] is False
        (left_out,) = envelope["error"]["data"]["packages"]
        assert (left_out["ident"], left_out["outcome"], left_out["code"]) == ("test-abc", "skipped", "archive")

    def test_an_interrupted_import_resumes(self, old: ObjectStore, tmp_path: Path) -> None:
        new = (tmp_path / "new").as_uri()
        done = next(iter(import_packages(f"sputnik+{old.url}", new)))
        assert done.outcome is ImportOutcome.IMPORTED
        results = bring(old, new)
        assert [each.outcome for each in results].count(ImportOutcome.EXISTS) == 1
        assert everything_in(new) == EVERYTHING
        assert json.loads((Path(tmp_path) / "new" / "orbitpkg.json").read_bytes())["format"] == 1

"""The README and docstrings of s3stasher 0.0.5, checked with the class that replaces it.

Source: its own README and docstrings, of that version.
"""

from __future__ import annotations

import inspect
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.compat.s3stasher import S3
from tests.remote.conftest import enter
from tests.servers.processes import free_port

if TYPE_CHECKING:
    from tests.remote.conftest import Place
    from tests.servers.processes import S3Server

SIGNATURES = {
    "s3open": ["uri_or_path", "force_download", "quiet", "progress", "skip_local_file_checks"],
    "s3write": ["uri_or_path", "keep_cache_file", "progress"],
    "s3list": ["prefix"],
    "s3exists": ["uri"],
    "s3rm": ["uri"],
    "s3cp": ["source_uri", "destination_uri"],
    "s3mv": ["source_uri", "destination_uri"],
    "cache_size": [],
    "prune_cache": ["older_than_date"],
}


@pytest.fixture
def place(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    return enter(moto, monkeypatch)


def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from orbitpkg.objects.timeouts import Timeouts

    timeouts = Timeouts(connect=1.0, silence=1.0, retry=0.1, retries=0)
    monkeypatch.setattr("orbitpkg.remote.session.DEFAULT_TIMEOUTS", timeouts)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_methods_are_static_and_have_the_original_arguments(name: str) -> None:
    assert isinstance(inspect.getattr_static(S3, name), staticmethod)
    assert list(inspect.signature(getattr(S3, name)).parameters) == SIGNATURES[name]


class TestQuickstart:
    def test_an_object_is_read(self, place: Place) -> None:
        place.store.put("my_data.csv", b"a,b\n1,2\n")
        with S3.s3open(f"{place.uri}/my_data.csv") as f:
            assert isinstance(f, Path)
            assert f.suffix == ".csv"
            assert f.read_text() == "a,b\n1,2\n"

    def test_s3open_and_open_read_a_text(self, place: Place) -> None:
        place.store.put("unstructured.txt", b"one\ntwo\n")
        with S3.s3open(f"{place.uri}/unstructured.txt") as s3f, s3f.open() as f:
            assert f.readlines() == ["one\n", "two\n"]

    def test_a_file_is_uploaded_and_cached(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        uri = f"{place.uri}/my_data_new.csv"
        with S3.s3write(uri) as f:
            assert f.suffix == ".csv"
            f.write_text("a\n")
        assert place.store.get("my_data_new.csv")[0] == b"a\n"
        cut_off(monkeypatch)
        with S3.s3open(uri) as f:
            assert f.read_text() == "a\n"

    def test_objects_under_a_prefix_are_listed(self, place: Place) -> None:
        for key in ("prefix/b", "prefix/a/c", "prefixed", "other"):
            place.store.put(key, b"x")
        assert S3.s3list(f"{place.uri}/prefix/") == [f"{place.uri}/prefix/a/c", f"{place.uri}/prefix/b"]
        assert len(S3.s3list(f"{place.uri}/prefix")) == 3
        assert S3.s3list(f"{place.uri}/nothing/") == []

    def test_an_object_exists_or_not(self, place: Place) -> None:
        place.store.put("known_file.txt", b"x")
        assert S3.s3exists(f"{place.uri}/known_file.txt") is True
        assert S3.s3exists(f"{place.uri}/unknown_file.txt") is False

    def test_objects_are_copied_moved_and_removed(self, place: Place, moto: S3Server) -> None:
        other = f"s3://{moto.new_bucket()}"
        place.store.put("my_file_1.txt", b"x")
        S3.s3cp(f"{place.uri}/my_file_1.txt", f"{place.uri}/my_file_2.txt")
        S3.s3mv(f"{place.uri}/my_file_2.txt", f"{other}/my_file_3.txt")
        assert S3.s3list(f"{place.uri}/") == [f"{place.uri}/my_file_1.txt"]
        assert S3.s3list(f"{other}/") == [f"{other}/my_file_3.txt"]
        S3.s3rm(f"{other}/my_file_3.txt")
        assert S3.s3list(f"{other}/") == []


class TestLocalFiles:
    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_local_path_is_returned_unchanged(self, tmp_path: Path, kind: type[str]) -> None:
        path = tmp_path / "local.csv"
        with S3.s3write(kind(path)) as f:
            assert f == path
            f.write_text("x")
        with S3.s3open(kind(path)) as f:
            assert f == path
        assert S3.s3exists(kind(path))
        assert not S3.s3exists(kind(tmp_path / "absent"))
        with pytest.raises(FileNotFoundError), S3.s3open(kind(tmp_path / "absent")):
            pass

    def test_a_uri_passed_as_a_path_is_a_value_error(self) -> None:
        path = Path("s3://bucket/key")
        with pytest.raises(ValueError, match="pathlib"), S3.s3open(path):
            pass
        with pytest.raises(ValueError, match="pathlib"), S3.s3write(path):
            pass
        with pytest.raises(ValueError, match="pathlib"):
            S3.s3exists(path)


class TestCache:
    def test_only_changed_objects_are_downloaded_again(self, place: Place) -> None:
        place.store.put("key.txt", b"one")
        uri = f"{place.uri}/key.txt"
        with S3.s3open(uri) as first:
            pass
        with S3.s3open(uri) as again:
            assert again == first
        place.store.put("key.txt", b"two")
        with S3.s3open(uri, skip_local_file_checks=True) as f:
            assert f.read_bytes() == b"one"
        with S3.s3open(uri) as f:
            assert f.read_bytes() == b"two"

    def test_a_download_can_be_forced(self, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
        place.store.put("key.txt", b"one")
        uri = f"{place.uri}/key.txt"
        with S3.s3open(uri, force_download=True) as f:
            inode = f.stat().st_ino
            times = f.stat().st_mtime_ns
            f.write_bytes(b"ONE")
            os.utime(f, ns=(times, times))
        with S3.s3open(uri) as f:
            assert f.stat().st_ino == inode
        with S3.s3open(uri, force_download=True, quiet=True) as f:
            assert f.read_bytes() == b"one"
        assert capfd.readouterr() == ("", "")

    def test_progress_is_shown_on_request(self, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
        place.store.put("key.txt", b"x" * 2000)
        with S3.s3open(f"{place.uri}/key.txt", progress=True):
            pass
        with S3.s3write(f"{place.uri}/up.txt", progress=True) as f:
            f.write_bytes(b"x" * 2000)
        out, err = capfd.readouterr()
        assert out == ""
        assert "key.txt" in err
        assert "up.txt" in err

    def test_a_missing_object_is_a_file_not_found_error(self, place: Place) -> None:
        with pytest.raises(FileNotFoundError), S3.s3open(f"{place.uri}/absent"):
            pass

    def test_a_file_need_not_stay_in_the_cache(self, place: Place) -> None:
        with S3.s3write(f"{place.uri}/key.txt", keep_cache_file=False) as f:
            f.write_bytes(b"x")
        assert place.store.get("key.txt")[0] == b"x"
        assert S3.cache_size() == "0B"
        assert not f.exists()

    def test_nothing_is_uploaded_after_an_exception(self, place: Place) -> None:
        def fail() -> None:
            with S3.s3write(f"{place.uri}/key.txt") as f:
                f.write_bytes(b"half")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert S3.s3list(place.uri + "/") == []

    def test_the_cache_size_is_readable(self, place: Place) -> None:
        assert S3.cache_size() == "0B"
        place.store.put("key.txt", b"x" * 1536)
        with S3.s3open(f"{place.uri}/key.txt"):
            pass
        assert S3.cache_size() == "1.50 KB"

    def test_files_cached_before_a_date_are_removed(self, place: Place) -> None:
        place.store.put("old.txt", b"old")
        place.store.put("new.txt", b"new")
        with S3.s3open(f"{place.uri}/old.txt") as f:
            os.utime(f, (1e9, 1e9))
        with S3.s3open(f"{place.uri}/new.txt"):
            pass
        with pytest.raises(ValueError, match="ISO"):
            S3.prune_cache("the day before yesterday")
        S3.prune_cache("2001-01-01")
        assert S3.cache_size() == "6.00 B"
        S3.prune_cache(datetime.now(UTC) - timedelta(days=1))
        assert S3.cache_size() == "3.00 B"
        S3.prune_cache((datetime.now(UTC) + timedelta(days=1)).replace(tzinfo=None))
        assert S3.cache_size() == "0B"


class TestConfiguration:
    def read(self, place: Place) -> Path:
        place.store.put("key.txt", b"x")
        with S3.s3open(f"{place.uri}/key.txt") as f:
            return Path(f)

    def test_the_cache_is_private_and_in_the_users_home(self, place: Place) -> None:
        path = self.read(place)
        assert Path.home() / ".s3_cache" in path.parents
        assert path.stat().st_mode & 0o777 == 0o600

    def test_the_environment_sets_the_folder_and_the_mode(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("S3STASHER_CACHE_DIR", str(tmp_path / "shared"))
        monkeypatch.setenv("S3STASHER_FILE_MODE", "0o660")
        path = self.read(place)
        assert tmp_path / "shared" in path.parents
        assert path.stat().st_mode & 0o777 == 0o660

    def test_the_file_in_the_users_home_sets_the_folder_and_the_mode(self, place: Place, tmp_path: Path) -> None:
        (Path.home() / ".s3stasher.env").write_text(
            f'# ours\nexport S3STASHER_CACHE_DIR="{tmp_path}/from file"\nS3STASHER_FILE_MODE=640 # group reads\n'
        )
        path = self.read(place)
        assert tmp_path / "from file" in path.parents
        assert path.stat().st_mode & 0o777 == 0o640

    def test_the_settings_file_can_be_chosen_and_the_environment_takes_precedence(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "other.env").write_text(f"S3STASHER_CACHE_DIR={tmp_path}/file\nS3STASHER_FILE_MODE=640\n")
        monkeypatch.setenv("S3STASHER_ENV", str(tmp_path / "other.env"))
        monkeypatch.setenv("S3STASHER_CACHE_DIR", str(tmp_path / "shell"))
        path = self.read(place)
        assert tmp_path / "shell" in path.parents
        assert path.stat().st_mode & 0o777 == 0o640

    def test_the_settings_file_may_configure_the_store(self, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        place = enter(moto, monkeypatch)
        said = "".join(f"{name}={value}\n" for name, value in moto.env().items())
        (Path.home() / ".s3stasher.env").write_text(said)
        for name in moto.env():
            monkeypatch.delenv(name)
        assert self.read(place).read_bytes() == b"x"


class TestOffline:
    def test_cached_objects_are_read_and_exist(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        place.store.put("key.txt", b"x")
        with S3.s3open(f"{place.uri}/key.txt"):
            pass
        cut_off(monkeypatch)
        with S3.s3open(f"{place.uri}/key.txt") as f:
            assert f.read_bytes() == b"x"
        assert S3.s3exists(f"{place.uri}/key.txt") is True

    def test_everything_else_is_a_runtime_error(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        cut_off(monkeypatch)
        uri = f"{place.uri}/other.txt"

        def write() -> None:
            with S3.s3write(uri) as f:
                f.write_bytes(b"x")

        def read() -> None:
            with S3.s3open(uri):
                pass

        for use in (
            read,
            write,
            lambda: S3.s3list(place.uri),
            lambda: S3.s3exists(uri),
            lambda: S3.s3cp(uri, f"{uri}.copy"),
            lambda: S3.s3mv(uri, f"{uri}.copy"),
            lambda: S3.s3rm(uri),
        ):
            with pytest.raises(RuntimeError):
                use()
        with S3.s3write(tmp_path / "local") as f:
            f.write_bytes(b"local files are written")

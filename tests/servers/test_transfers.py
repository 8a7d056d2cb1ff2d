"""What moves over the wire: only what changed, only once, and whatever the network does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install as install_packages
from orbitpkg.api.install import install_all, plan_all
from orbitpkg.api.options import InstallOptions
from orbitpkg.api.packages import packages, remove, verify
from orbitpkg.api.publish import build, publish
from orbitpkg.api.repository import collect_repository
from orbitpkg.api.search import released
from orbitpkg.api.search import versions as list_versions
from orbitpkg.archive.frames import compress_chunk
from orbitpkg.errors import AccessDenied, ArchiveError, IntegrityError, RepositoryUnreachable
from orbitpkg.objects import open_store
from orbitpkg.publisher.publish import Outcome
from orbitpkg.repository.repository import Repository
from tests.faulty_store import Fault, Faults, FaultyStore
from tests.packages import make_package, noise, tree_of
from tests.peak_memory import peak_mebibytes
from tests.servers.interposed import Answer, Request, interposed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from tests.servers.processes import S3Server, StaticSite

MIB = 1 << 20
BLOCK = 1 << 16
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
COPYING = ["memory", "directory", "moto", "ceph"]

# A command in a separate process that kills itself, as with `kill -9`, after a number of bytes.
KILLED = """
import os, signal, sys
import orbitpkg

class Killer:
    done = 0
    def task(self, title, total): return self
    def note(self, message): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def advance(self, count):
        Killer.done += count
        if Killer.done >= int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "install":
    orbitpkg.install("model", repository=sys.argv[2], reporter=Killer())
else:
    orbitpkg.publish(sys.argv[1], sys.argv[2], reporter=Killer())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[FaultyStore]:
    """A store in memory that counts and misbehaves."""
    faults = Faults()
    store = FaultyStore(f"transfers-{tmp_path.name}", faults=faults)
    yield store
    store.forget(f"transfers-{tmp_path.name}")


def address(name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if name == "memory":
        return f"memory://{tmp_path.name}"
    if name == "directory":
        return (tmp_path / "repository").as_uri()
    server: S3Server = request.getfixturevalue(name)
    for key, value in server.env().items():
        monkeypatch.setenv(key, value)
    return f"s3://{server.new_bucket()}/p"


def two_versions(folder: Path) -> tuple[Path, Path, int]:
    """Make 48 MiB in two versions. Also return the number of bytes of the second that the first lacks."""
    weights = noise(40 * MIB)
    files = {"a.csv": b"1,2\n" * 1000, "weights.bin": weights, "z.bin": noise(8 * MIB, seed=1)}
    changed = bytearray(weights)
    changed[20 * MIB : 20 * MIB + MIB] = noise(MIB, seed=2)
    second = {**files, "weights.bin": bytes(changed), "z.bin": b"inserted" + files["z.bin"]}
    return (
        make_package(folder / "v1", version="1.0.0", files=files),
        make_package(folder / "v2", version="2.0.0", files=second),
        MIB + 8,
    )


def archive_of(url: str, requirement: str) -> bytes:
    return open_store(url).get(released(requirement, repository=url).archive.key)[0]


def part_of(archive: bytes, start: int, end: int, length: int) -> Answer:
    """Return the answer to a request for bytes of an archive, truncated to a number of bytes."""
    headers = {"Content-Length": str(end - start + 1), "Content-Range": f"bytes {start}-{end}/{len(archive)}",
               "ETag": '"x"', "Last-Modified": "Fri, 20 Nov 2026 00:00:00 GMT"}  # fmt: skip
    return Answer(status=206, headers=headers, body=archive[start : start + length])


class TestPublishingChanges:
    @pytest.mark.parametrize("name", COPYING)
    def test_only_changes_are_sent_and_the_object_equals_the_built_archive(
        self, name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = address(name, request, tmp_path, monkeypatch)
        first, second, changed = two_versions(tmp_path)
        whole = publish(first, url)
        assert (whole.uploaded, whole.copied) == (whole.release.archive.size, 0)
        plan = publish(second, url, dry_run=True)
        done = publish(second, url)
        assert (done.uploaded, done.copied) == (plan.uploaded, plan.copied)
        assert done.uploaded + done.copied == done.release.archive.size
        # Three places changed (the manifest is one): at each at most two chunks, and before the first, which nothing
        # can be copied in front of, what S3's least part takes along.
        assert done.uploaded <= changed + 3 * 2 * 2 * MIB + 5 * MIB
        assert len(list(open_store(url).list("archives/"))) == 2
        assert archive_of(url, "model==2.0.0") == build(second, tmp_path / "out").read_bytes()

    def test_without_part_copies_everything_is_sent_and_reported(
        self, rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key, value in rclone.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{rclone.new_bucket()}/p"
        first, second, _ = two_versions(tmp_path)
        publish(first, url, unsafe_single_writer=True)
        notes = Notes()
        done = publish(second, url, unsafe_single_writer=True, reporter=notes)
        assert done.uploaded == done.release.archive.size
        assert notes.said == [f"{url} cannot copy parts of objects, so the whole archive is uploaded."]

    def test_a_store_that_copies_no_parts_after_all_gets_all(self, memory: FaultyStore, tmp_path: Path) -> None:
        first, second, _ = two_versions(tmp_path)
        publish(first, memory.url)
        memory.faults.no_part_copies = True
        done = publish(second, memory.url)
        assert (done.outcome, done.uploaded) == (Outcome.PUBLISHED, done.release.archive.size)

    def test_a_package_of_small_changes_between_many_versions_stays_whole(self, tmp_path: Path) -> None:
        url = (tmp_path / "repository").as_uri()
        data = bytearray(noise(6 * MIB))
        for version in range(6):
            data[version * MIB] ^= 0xFF
            folder = make_package(tmp_path / str(version), version=f"1.0.{version}", files={"data": bytes(data)})
            publish(folder, url)
            assert archive_of(url, f"model==1.0.{version}") == build(folder, tmp_path / "out").read_bytes()


PIECE_STEPS = ["begin", "copy", "send", "complete", "use", "delete"]


def step_of_a_piece(request: Request) -> str | None:
    """Name the step of putting a piece together that a request is, if it is one."""
    if "/pieces/" in request.headers.get("x-amz-copy-source", ""):
        return "use"
    if "/pieces/" not in request.path:
        return None
    if request.method == "PUT":
        return "copy" if "x-amz-copy-source" in request.headers else "send"
    if request.method == "POST":
        return "begin" if "uploadId=" not in request.path else "complete"
    return "delete" if request.method == "DELETE" and "uploadId=" not in request.path else None


class TestPieces:
    """A change in the middle is put together behind a copy, in an object that is there for a moment."""

    @pytest.fixture
    def versions(self, tmp_path: Path) -> tuple[Path, Path]:
        data = bytearray(noise(24 * MIB))
        first = make_package(tmp_path / "v1", version="1.0.0", files={"weights.bin": bytes(data)})
        data[14 * MIB] ^= 0xFF
        return first, make_package(tmp_path / "v2", version="2.0.0", files={"weights.bin": bytes(data)})

    @pytest.mark.parametrize("step", PIECE_STEPS)
    @pytest.mark.parametrize("fault", ["denied", "lost"])
    def test_a_failure_is_reported_and_publishing_again_converges(
        self,
        *,
        fault: str,
        step: str,
        versions: tuple[Path, Path],
        moto: S3Server,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        met: list[str] = []

        def meddle(request: Request) -> Answer | None:
            if step_of_a_piece(request) != step or (fault == "lost" and met):
                return None
            met.append(request.path)
            return Answer(lost=True) if fault == "lost" else Answer(status=403, body=DENIED)

        for key, value in moto.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{moto.new_bucket()}/p"
        publish(versions[0], url)
        with interposed(moto.endpoint, meddle) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            if fault == "denied" and step != "delete":
                with pytest.raises(AccessDenied):
                    publish(versions[1], url)
                assert list_versions("model", repository=url) == ["1.0.0"]
            else:
                assert publish(versions[1], url).outcome is Outcome.PUBLISHED
        assert met
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
        publish(versions[1], url)
        assert archive_of(url, "model==2.0.0") == build(versions[1], tmp_path / "out").read_bytes()
        left = [info.key for info in open_store(url).list("archives/") if "/pieces/" in info.key]
        assert len(left) == (1 if (fault, step) == ("denied", "delete") else 0)


class TestInstallingChanges:
    def test_an_upgrade_reads_only_chunks_missing_from_installed_releases(
        self, memory: FaultyStore, tmp_path: Path
    ) -> None:
        first, second, changed = two_versions(tmp_path)
        publish(first, memory.url)
        publish(second, memory.url)
        install_packages("model==1.0.0", repository=memory.url)
        ((_, plan),) = plan_all(["model==2.0.0"], InstallOptions(repository=memory.url))
        memory.faults.requests.clear()
        installed = install_packages("model==2.0.0", repository=memory.url)
        assert tree_of(installed.path) == tree_of(second)
        read = sum(request.length for request in memory.faults.requests if request.operation == "get_range")
        contents = released("model==2.0.0", repository=memory.url).contents.length
        assert read == plan.bytes_to_fetch + contents
        assert read <= changed + 4 * 2 * MIB
        assert plan.bytes_reused > 30 * MIB

    def test_a_source_that_is_damaged_is_not_used(self, memory: FaultyStore, tmp_path: Path) -> None:
        first, second, _ = two_versions(tmp_path)
        publish(first, memory.url)
        publish(second, memory.url)
        weights = install_packages("model==1.0.0", repository=memory.url).file_path("weights.bin")
        weights.chmod(0o644)
        with weights.open("r+b") as file:
            file.seek(5 * MIB)
            file.write(b"damage")
        ((_, plan),) = plan_all(["model==2.0.0"], InstallOptions(repository=memory.url))
        memory.faults.requests.clear()
        assert tree_of(install_packages("model==2.0.0", repository=memory.url).path) == tree_of(second)
        read = sum(request.length for request in memory.faults.requests if request.operation == "get_range")
        assert read < plan.bytes_to_fetch + 2 * MIB, "one chunk is damaged, and no other is read again"

    def test_a_small_file_that_is_damaged_does_not_harm_its_neighbours(
        self, memory: FaultyStore, tmp_path: Path
    ) -> None:
        """Small files share a chunk, and are verified one by one."""
        files = {f"small/{number:02}": noise(5_000, seed=number) for number in range(400)}
        first = make_package(tmp_path / "v1", version="1.0.0", files={"large": noise(4 * MIB), **files})
        second = make_package(tmp_path / "v2", version="2.0.0", files={"large": noise(4 * MIB, seed=5), **files})
        publish(first, memory.url)
        publish(second, memory.url)
        damaged = install_packages("model==1.0.0", repository=memory.url).file_path("small", "300")
        damaged.chmod(0o644)
        damaged.write_bytes(noise(5_000, seed=1_000))
        assert tree_of(install_packages("model==2.0.0", repository=memory.url).path) == tree_of(second)

    def test_frames_of_other_bytes_are_refused_and_their_chunk_named(self, memory: FaultyStore, tmp_path: Path) -> None:
        """What is in the archive's place is sound in itself, only not what was published."""
        first, _, _ = two_versions(tmp_path)
        publish(first, memory.url)
        release = released("model", repository=memory.url)
        data, info = memory.get(release.archive.key)
        _, contents = Repository(memory).contents(release)
        chunk = contents.chunks[7]
        # Noise does not compress, so every frame has the same size.
        foreign = compress_chunk(noise(chunk.length, seed=9))
        assert len(foreign) == chunk.stored
        end = chunk.position + chunk.stored
        memory.replace(release.archive.key, data[: chunk.position] + foreign + data[end:], etag=info.etag or "")
        with pytest.raises(ArchiveError, match=r"Chunk 7 of model 1\.0\.0 in memory:"):
            install_packages("model", repository=memory.url)
        assert packages() == []

    def test_a_chunk_that_occurs_often_is_read_once(self, memory: FaultyStore, tmp_path: Path) -> None:
        files = {f"copy{number}": bytes(8 * MIB) for number in range(4)}
        folder = make_package(tmp_path / "p", files={**files, "noise": noise(8 * MIB)})
        publish(folder, memory.url)
        memory.faults.requests.clear()
        assert tree_of(install_packages("model", repository=memory.url).path) == tree_of(folder)
        asked = Counter(
            (request.start, request.length) for request in memory.faults.requests if request.operation == "get_range"
        )
        assert max(asked.values()) == 1


class TestStopping:
    @pytest.mark.parametrize("after", [1, 20 * MIB, 40 * MIB])
    def test_a_killed_install_keeps_its_chunks(
        self, after: int, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocks_read: set[int] = set()

        def meddle(request: Request) -> None:
            if request.method == "GET" and "range" in request.headers:
                start, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
                blocks_read.update(range(start // BLOCK, end // BLOCK + 1))

        with interposed(moto.endpoint, meddle) as endpoint:
            for key, value in {**moto.env(), "AWS_ENDPOINT_URL": endpoint}.items():
                monkeypatch.setenv(key, value)
            url = f"s3://{moto.new_bucket()}/p"
            first, _, _ = two_versions(tmp_path)
            size = publish(first, url).uploaded
            killed = subprocess.run([sys.executable, "-c", KILLED, "install", url, str(after)], check=False)
            assert killed.returncode == -signal.SIGKILL
            assert packages() == []
            blocks_read.clear()
            assert tree_of(install_packages("model", repository=url).path) == tree_of(first)
        assert len(blocks_read) * BLOCK <= size - after + 16 * MIB

    def test_a_killed_publish_resumes_and_sends_no_part_twice(
        self, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []

        def meddle(request: Request) -> None:
            if request.method == "PUT" and "partNumber=" in request.path:
                sent.append(request.path)

        with interposed(moto.endpoint, meddle) as endpoint:
            for key, value in {**moto.env(), "AWS_ENDPOINT_URL": endpoint}.items():
                monkeypatch.setenv(key, value)
            url = f"s3://{moto.new_bucket()}/p"
            folder = make_package(tmp_path / "p", files={"weights": noise(120 * MIB)})
            command = [sys.executable, "-c", KILLED, str(folder), url, str(110 * MIB)]
            assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
            before = len(sent)
            assert before > 4
            assert len(list(open_store(url).list_uploads())) == 1
            assert publish(folder, url).outcome is Outcome.PUBLISHED
            assert list(open_store(url).list_uploads()) == []
            assert archive_of(url, "model") == build(folder, tmp_path / "out").read_bytes()
        # Four may have been under way when it was killed.
        assert len(sent) - len(set(sent)) <= 4

    def test_resuming_a_killed_publish_uses_the_current_files(
        self, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key, value in moto.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{moto.new_bucket()}/p"
        folder = make_package(tmp_path / "p", files={"weights": noise(80 * MIB)})
        command = [sys.executable, "-c", KILLED, str(folder), url, str(75 * MIB)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        (folder / "weights").write_bytes(noise(30 * MIB, seed=7))
        assert publish(folder, url).outcome is Outcome.PUBLISHED
        assert archive_of(url, "model") == build(folder, tmp_path / "out").read_bytes()
        assert list(open_store(url).list_uploads()) == []

    def test_leftovers_of_stopped_publishers_are_found_after_a_grace_period(
        self, ceph: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # moto says of every upload that it began in 2010.
        for key, value in ceph.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{ceph.new_bucket()}/p"
        publish(make_package(tmp_path / "kept", name="kept"), url)
        folder = make_package(tmp_path / "p", files={"weights": noise(80 * MIB)})
        subprocess.run([sys.executable, "-c", KILLED, str(folder), url, str(75 * MIB)], check=False)
        # A killed publisher's claim counts for a day.
        for info in list(open_store(url).list("archives/model/claims/")):
            open_store(url).delete(info.key)
        open_store(url).put("archives/lost/lost-1.0.0-0123456789ab.tar.zst", b"orphan")
        young = collect_repository(url, dry_run=True)
        assert (young.objects, young.uploads) == ((), ())
        old = collect_repository(url, grace=timedelta(seconds=-5), dry_run=True)
        assert [info.key for info in old.objects] == ["archives/lost/lost-1.0.0-0123456789ab.tar.zst"]
        assert [upload.key.partition("-")[0] for upload in old.uploads] == ["archives/model/model"]
        collect_repository(url, grace=timedelta(seconds=-5))
        again = collect_repository(url, grace=timedelta(seconds=-5), dry_run=True)
        assert (again.objects, again.uploads) == ((), ())
        assert install_packages("kept", repository=url).name == "kept"


class TestHostileNetworks:
    def test_a_truncated_answer_is_resumed_where_it_stopped(
        self, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        starts: list[int] = []

        def meddle(request: Request) -> Answer | None:
            if request.method != "GET" or "range" not in request.headers:
                return None
            start, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
            starts.append(start)
            # The first three large answers end in the middle.
            if end - start < 4 * MIB or len(starts) > 4:
                return None
            return part_of(archive, start, end, (end - start) // 2)

        for key, value in moto.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{moto.new_bucket()}/p"
        first, _, _ = two_versions(tmp_path)
        publish(first, url)
        archive = archive_of(url, "model")
        with interposed(moto.endpoint, meddle) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            assert tree_of(install_packages("model", repository=url).path) == tree_of(first)
        assert len(starts) == len(set(starts)), "no request was repeated from its beginning"

    def test_answers_that_all_end_after_a_few_chunks_still_come_to_an_end(
        self, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        most = 1_100_000
        cut: list[int] = []

        def meddle(request: Request) -> Answer | None:
            if request.method != "GET" or "range" not in request.headers:
                return None
            start, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
            if end - start < most:
                return None
            cut.append(start)
            return part_of(archive, start, end, most)

        for key, value in moto.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{moto.new_bucket()}/p"
        folder = make_package(tmp_path / "model", files={"data.bin": noise(8 * MIB)})
        publish(folder, url)
        archive = archive_of(url, "model")
        with interposed(moto.endpoint, meddle) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            assert tree_of(install_packages("model", repository=url).path) == tree_of(folder)
        assert len(set(cut)) == len(cut) > 6, "each answer brought something, and six that bring nothing are too many"

    def test_a_store_that_is_overloaded_for_a_while_is_asked_again(self, memory: FaultyStore, tmp_path: Path) -> None:
        first, _, _ = two_versions(tmp_path)
        publish(first, memory.url)

        def busy() -> RepositoryUnreachable:
            return RepositoryUnreachable("The store is overloaded.", status=503)

        memory.faults.faults.append(Fault(kind="before", operation="get_range", key="*", nth=2, times=5, error=busy))
        assert tree_of(install_packages("model", repository=memory.url).path) == tree_of(first)

    def test_wrong_bytes_once_are_read_again_and_twice_refused(self, memory: FaultyStore, tmp_path: Path) -> None:
        first, _, _ = two_versions(tmp_path)
        publish(first, memory.url)
        memory.faults.faults.append(Fault(kind="corrupt", operation="get_range", key="*", nth=3, times=1))
        assert tree_of(install_packages("model", repository=memory.url).path) == tree_of(first)
        remove("model")
        memory.faults.faults.append(Fault(kind="corrupt", operation="get_range", key="*", nth=3, times=None))
        with pytest.raises(IntegrityError):
            install_packages("model", repository=memory.url)
        assert packages() == []

    def test_a_web_server_without_ranges_is_read_whole(
        self, rangeless_site: StaticSite, tmp_path: Path, home: Path
    ) -> None:
        site = rangeless_site.new_folder()
        site.root.rmdir()
        first, _, _ = two_versions(tmp_path)
        publish(first, site.root)
        assert tree_of(install_packages("model", repository=site.url).path) == tree_of(first)
        assert os.listdir(home / "store/v1/tmp") == []


class TestManyFiles:
    def test_small_files_cost_no_request_each(self, memory: FaultyStore, tmp_path: Path) -> None:
        files = {f"{number % 50:02}/{number:05}.json": b"%d" % number * 300 for number in range(5_000)}
        folder = make_package(tmp_path / "p", files={**files, "noise": noise(8 * MIB)})
        publish(folder, memory.url)
        publishing = len(memory.faults.requests)
        memory.faults.requests.clear()
        installed = install_packages("model==1.0.0", repository=memory.url)
        assert len(installed.files()) == 5_002
        assert publishing < 40
        assert len(memory.faults.requests) <= 6

    def test_several_packages_are_installed_together(self, memory: FaultyStore, tmp_path: Path) -> None:
        for number in range(12):
            folder = make_package(
                tmp_path / str(number), name=f"model-{number}", files={"data": noise(MIB, seed=number)}
            )
            publish(folder, memory.url)
        result = install_all([f"model-{number}" for number in range(12)], InstallOptions(repository=memory.url))
        assert [package.name for package in result.packages] == [f"model-{number}" for number in range(12)]
        assert [flaws for _, flaws in verify()] == [[]] * 12

    def test_when_one_of_several_fails_the_reason_is_its_own(self, memory: FaultyStore, tmp_path: Path) -> None:
        for number in range(6):
            folder = make_package(tmp_path / str(number), name=f"m{number}", files={"data": noise(MIB, seed=number)})
            publish(folder, memory.url)
        memory.delete(released("m3", repository=memory.url).archive.key)
        with pytest.raises(IntegrityError, match="The archive of m3"):
            install_all([f"m{number}" for number in range(6)], InstallOptions(repository=memory.url))


class TestTogether:
    def test_processes_that_install_the_same_release_at_once_fetch_it_about_once(
        self, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bytes_asked: list[int] = []

        def meddle(request: Request) -> None:
            if request.method == "GET" and "range" in request.headers:
                start, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
                bytes_asked.append(end - start + 1)

        with interposed(moto.endpoint, meddle) as endpoint:
            for key, value in {**moto.env(), "AWS_ENDPOINT_URL": endpoint}.items():
                monkeypatch.setenv(key, value)
            url = f"s3://{moto.new_bucket()}/p"
            folder = make_package(tmp_path / "p", files={"weights": noise(24 * MIB)})
            size = publish(folder, url).uploaded
            bytes_asked.clear()
            code = "import orbitpkg, sys; orbitpkg.install('model', repository=sys.argv[1])"
            processes = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(3)]
            assert [process.wait() for process in processes] == [0, 0, 0]
        # Each reads the contents; the chunks are read by the first alone.
        assert sum(bytes_asked) <= 1.1 * size
        assert [flaws for _, flaws in verify()] == [[]]


class Notes:
    """A reporter that records its calls."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def task(self, title: str, total: int | None) -> Notes:
        del title, total
        return self

    def note(self, message: str) -> None:
        self.said.append(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


class TestMemory:
    """A process stays under 200 MiB, whatever the package's size; here it is larger than that."""

    @pytest.fixture
    def large(self, tmp_path: Path) -> Path:
        files = {f"part-{number}": noise(64 * MIB, seed=number) for number in range(5)}
        return make_package(tmp_path / "large", name="large", files=files)

    @pytest.mark.parametrize("name", ["directory", "moto"])
    def test_publishing(
        self, name: str, large: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = address(name, request, tmp_path, monkeypatch)
        assert peak_mebibytes("import orbitpkg, sys; orbitpkg.publish(*sys.argv[1:])", large, url) < 200

    def test_installing_and_upgrading(self, large: Path, nginx: StaticSite) -> None:
        site = nginx.new_folder()
        site.root.rmdir()
        publish(large, site.root)
        (large / "part-0").write_bytes(noise(64 * MIB, seed=9))
        make_package(large, name="large", version="2.0.0", files={})
        publish(large, site.root)
        install = "import orbitpkg, sys; orbitpkg.install(sys.argv[1], repository=sys.argv[2])"
        for version in ("1.0.0", "2.0.0"):
            assert peak_mebibytes(install, f"large=={version}", site.url) < 200

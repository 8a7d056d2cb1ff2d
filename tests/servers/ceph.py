"""A Ceph cluster of one node with an S3 gateway, in memory: a production object store on loopback in a few seconds.

A monitor, a manager, one object storage daemon and the gateway, all in the foreground as children of the caller, all
with their files in one directory. The memory store never frees objects and has a capacity of 4 GiB. When it is full, it
accepts connections and never answers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.processes import (
    HOST,
    Program,
    S3Server,
    ServerFailed,
    ServerMissing,
    end_of,
    find_program,
    free_port,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ceph_server"]

HOW_TO_GET = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-mgr ceph-common"
PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool", "ceph")
COMMAND_SECONDS = 60.0

# Without the manager, or with authentication off, the gateway never comes up. Without tcp_nodelay each small GET
# waits 40 ms for a delayed acknowledgement.
CONFIGURATION = """\
[global]
fsid = {cluster_id}
mon host = [v2:{host}:{mon_port_v2},v1:{host}:{mon_port_v1}]
public addr = {host}
cluster addr = {host}
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
mon allow pool size one = true
mon data avail warn = 0
mon data avail crit = 0
mon max pg per osd = 1000
run dir = {folder}
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
keyring = {folder}/$name.keyring
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd
[client.rgw.a]
rgw frontends = beast endpoint={host}:{gateway_port} tcp_nodelay=1
"""


@contextmanager
def ceph_server(_: Path) -> Iterator[S3Server]:
    """Run a cluster in a temporary directory until the block ends.

    Raises:
        ServerMissing: A program is not installed, or this user is not root.
        ServerFailed: It did not come up; the message carries the ends of all logs.
    """
    for program in PROGRAMS:
        find_program(program, how_to_get=HOW_TO_GET)
    if os.geteuid() != 0:
        raise ServerMissing(
            "Ceph's daemons are started as root, and this user is not; to get them: run the tests as root"
        )
    # Not below the caller's folder, which may be deep: a UNIX socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="orbit-ceph-", dir="/tmp"))
    try:
        with ExitStack() as stack:
            yield _Cluster(folder, stack).start()
    except ServerFailed as failed:
        logs = "".join(f"\n== {log.name}\n{end_of(log)}" for log in sorted(folder.glob("*.log")))
        raise ServerFailed(f"{failed}{logs}") from failed
    finally:
        shutil.rmtree(folder)


class _Cluster:
    """Starts a cluster's daemons one after another; they stop, in the opposite order, with the stack."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._cluster_id = str(uuid.uuid4())
        self._mon_ports = free_port(), free_port()
        self._gateway_port = free_port()

    def start(self) -> S3Server:
        self._configure()
        self._start_monitor()
        self._start_manager()
        self._start_storage()
        return self._start_gateway()

    def _configure(self) -> None:
        text = CONFIGURATION.format(
            cluster_id=self._cluster_id,
            host=HOST,
            mon_port_v2=self._mon_ports[0],
            mon_port_v1=self._mon_ports[1],
            gateway_port=self._gateway_port,
            folder=self._folder,
        )
        (self._folder / "ceph.conf").write_text(text)
        for name in ("mon", "mgr", "osd"):
            (self._folder / name).mkdir()

    def _start_monitor(self) -> None:
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        monitors, admin = self._keyring("mon."), self._keyring("client.admin")
        self._tool("ceph-authtool", "--create-keyring", monitors, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._tool("ceph-authtool", "--create-keyring", admin, "--gen-key", "-n", "client.admin", *everything)
        self._tool("ceph-authtool", monitors, "--import-keyring", admin)
        address = f"[v2:{HOST}:{self._mon_ports[0]},v1:{HOST}:{self._mon_ports[1]}]"
        monmap = self._folder / "monmap"
        self._tool("monmaptool", "--create", "--fsid", self._cluster_id, "--addv", "a", address, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", monitors)
        self._daemon("ceph-mon", "-i", "a")

    def _start_manager(self) -> None:
        self._new_user("mgr.x", mon="allow profile mgr", osd="allow *")
        self._daemon("ceph-mgr", "-i", "x")

    def _start_storage(self) -> None:
        identity = str(uuid.uuid4())
        self._new_user("osd.0", mon="allow profile osd", mgr="allow profile osd", osd="allow *")
        self._run("ceph", "osd", "new", identity)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        self._daemon("ceph-osd", "-i", "0")
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")

    def _start_gateway(self) -> S3Server:
        server = S3Server(
            name="ceph",
            endpoint=f"http://{HOST}:{self._gateway_port}",
            access_key="AKIACEPH",
            secret_key=uuid.uuid4().hex,
            region="us-east-1",
        )
        self._new_user("client.rgw.a", mon="allow rw", osd="allow rwx", mgr="allow rw")
        keys = ["--access-key", server.access_key, "--secret-key", server.secret_key]
        as_gateway = ["-n", "client.rgw.a"]
        # May make users, for tests of what others may do.
        user = ["--uid=tests", "--display-name=tests", "--caps=users=*"]
        self._run("radosgw-admin", *as_gateway, "user", "create", *user, *keys)
        self._daemon("radosgw", *as_gateway).wait_for_answer(self._gateway_port)
        return server

    def _keyring(self, user: str) -> Path:
        return self._folder / f"{user}.keyring"

    def _new_user(self, user: str, **capabilities: str) -> None:
        pairs = [word for pair in capabilities.items() for word in pair]
        self._run("ceph", "auth", "get-or-create", user, *pairs, "-o", self._keyring(user))

    def _daemon(self, name: str, *arguments: str | Path) -> Program:
        program = find_program(name, how_to_get=HOW_TO_GET)
        command = [program, "-c", self._folder / "ceph.conf", "-f", *arguments]
        daemon = Program(command, log=self._folder / f"{name}.output.log")
        self._stack.callback(daemon.stop)
        return daemon

    def _run(self, name: str, *arguments: str | Path) -> None:
        self._tool(name, "-c", self._folder / "ceph.conf", *arguments)

    def _tool(self, name: str, *arguments: str | Path) -> None:
        command = [find_program(name, how_to_get=HOW_TO_GET), *arguments]
        with (self._folder / "commands.log").open("ab") as output:
            try:
                subprocess.run(
                    command,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=COMMAND_SECONDS,
                )
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                raise ServerFailed(str(error)) from error

"""Links between clients and servers: private network namespaces, near or far.

The benchmark and its servers run in one namespace, the measured clients in another. The clients' bytes are counted on
the link between them, which excludes the traffic among Ceph's daemons. Creating namespaces requires root. Without root,
all processes use the loopback interface, and bytes are not counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Link", "LinkMissing", "enter_private_network", "far_link", "loopback_link", "near_link"]

FAR_DELAY_SECONDS = 0.015
FAR_BITS_A_SECOND = 1e9
_INSIDE = "ORBITPKG_BENCH_NAMESPACE"
_WIRE = Path(__file__).with_name("wire.py")


class LinkMissing(Exception):
    """The link cannot be created here. The message gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link from clients to servers.

    Attributes:
        address: The address that servers listen on.
        what: The description in the report.
        holder: A process in the clients' namespace. None if there is only one namespace.
        device: The device at the clients' end.
        helpers: Processes that belong to the link rather than to a server.
    """

    address: str
    what: str
    holder: int | None = None
    device: str = "lo"
    helpers: tuple[int, ...] = ()

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the prefix of commands that run in the clients' namespace."""
        enter = [] if self.holder is None else _inside(self.holder)
        return [*enter, *words]

    def counted(self) -> tuple[int, int] | None:
        """Return the bytes that clients have received and sent, or None if the link does not count them."""
        if self.holder is None:
            return None
        for line in Path(f"/proc/{self.holder}/net/dev").read_text().splitlines():
            name, _, numbers = line.strip().partition(":")
            if name == self.device:
                fields = numbers.split()
                return int(fields[0]), int(fields[8])
        raise LookupError(self.device)


def enter_private_network() -> bool:
    """Restart this program in a private network namespace. Return whether it runs in one."""
    if os.environ.get(_INSIDE):
        _run("ip", "link", "set", "lo", "up")
        return True
    programs = ("unshare", "nsenter", "ip")
    if os.geteuid() != 0 or not all(map(shutil.which, programs)):
        return False
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode != 0:
        return False
    os.environ[_INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--", *sys.orig_argv])  # noqa: S606 - no shell is wanted
    return True


@contextmanager
def loopback_link() -> Iterator[Link]:
    """Return the loopback interface."""
    yield Link(address="127.0.0.1", what="loopback, shared with the rest of the machine: bytes are not counted")


@contextmanager
def near_link() -> Iterator[Link]:
    """Connect two namespaces by a pair of virtual devices, which are as fast as memory."""
    with _clients() as holder:
        _veth(holder, "10.77.0")
        yield Link(
            address="10.77.0.1",
            what="a veth pair between two network namespaces",
            holder=holder,
            device="near1",
        )


@contextmanager
def far_link() -> Iterator[Link]:
    """Connect two namespaces by a link with a round trip of 30 ms and 1 Gbit/s in each direction.

    Raises:
        LinkMissing: The kernel has neither `netem` nor TUN devices.
    """
    with ExitStack() as stack:
        holder = stack.enter_context(_clients())
        _veth(holder, "10.77.1")
        # netem's own bound of 1,000 packets is less than what is under way at this rate.
        far = ["root", "netem", "delay", f"{FAR_DELAY_SECONDS * 1000:.0f}ms"]
        far += ["rate", f"{FAR_BITS_A_SECOND:.0f}bit", "limit", "20000"]
        what, helpers = "a veth pair with `tc netem`", []
        try:
            _run("tc", "qdisc", "add", "dev", "near0", *far)
            _run(*_inside(holder), "tc", "qdisc", "add", "dev", "near1", *far)
        except LinkMissing:
            _run("ip", "link", "delete", "near0")
            helpers.append(stack.enter_context(_wire(holder, "10.77.1")))
            what = "TUN devices and `wire.py` between them, as this kernel has no `netem`"
        yield Link(
            address="10.77.1.1",
            what=f"30 ms round trip, 1 Gbit/s each way: {what}",
            holder=holder,
            device="far1" if helpers else "near1",
            helpers=tuple(helpers),
        )


@contextmanager
def _clients() -> Iterator[int]:
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep infinity"],
                              stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def _veth(holder: int, network: str) -> None:
    _run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "near1", "netns", str(holder))
    _address(holder, "near", network)


@contextmanager
def _wire(holder: int, network: str) -> Iterator[int]:
    arguments = [str(holder), "far0", "far1", str(FAR_DELAY_SECONDS), str(FAR_BITS_A_SECOND)]
    wire = subprocess.Popen([sys.executable, "-S", str(_WIRE), *arguments], stdout=subprocess.PIPE)
    try:
        assert wire.stdout is not None
        if not wire.stdout.readline():
            raise LinkMissing("this kernel has neither netem nor TUN devices")
        _address(holder, "far", network)
        yield wire.pid
    finally:
        wire.kill()
        wire.wait()


def _address(holder: int, device: str, network: str) -> None:
    for end, where in enumerate(([], _inside(holder))):
        name = f"{device}{end}"
        # A TUN device knows its neighbour by this alone.
        _run(*where, "ip", "address", "add", f"{network}.{end + 1}", "peer", f"{network}.{2 - end}", "dev", name)
        _run(*where, "ip", "link", "set", name, "txqueuelen", "10000", "up")


def _inside(holder: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{holder}/ns/net", "--"]


def _run(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LinkMissing(f"{' '.join(words)}: {getattr(error, 'stderr', '') or error}") from error

"""Simulate a long link between two namespaces, for kernels without `netem`: `wire.py PID DEVICE DEVICE DELAY RATE`.

Creates a TUN device in this namespace and one in the namespace of the process PID, and forwards packets between them
with at most RATE bits per second in each direction and a delay of DELAY seconds. The queue has a bounded length, and
packets beyond it are dropped. The kernels pass segments of up to 64 KiB (generic segmentation offload), marked for
division into packets of 1,500 bytes. TCP therefore behaves as on a real link, and a Python process can forward a
gigabit per second.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

__all__ = ["main"]

# From linux/if_tun.h and linux/sched.h.
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x01, 0x02
CLONE_NEWNET = 0x40000000
MOST_BYTES = 1 << 17
# A router's rule of thumb: what is under way in one round trip, here four times that, for few and large packets.
QUEUE_SECONDS = 0.12


class _Direction:
    """The packets in transit from one end to the other."""

    def __init__(self, source: int, target: int, *, delay: float, rate: float) -> None:
        self.source = source
        self._target = target
        self._delay = delay
        self._seconds_a_byte = 8 / rate
        self._free_at = 0.0
        self._packets: deque[tuple[float, bytes]] = deque()

    def take(self, now: float) -> None:
        """Read packets from the source. The wire is busy until `_free_at`."""
        for _ in range(64):
            try:
                packet = os.read(self.source, MOST_BYTES)
            except BlockingIOError:
                return
            begins = max(now, self._free_at)
            if begins - now <= QUEUE_SECONDS:
                self._free_at = begins + len(packet) * self._seconds_a_byte
                self._packets.append((self._free_at + self._delay, packet))

    def give(self, now: float) -> None:
        """Deliver the packets that have arrived."""
        while self._packets and self._packets[0][0] <= now:
            os.write(self._target, self._packets.popleft()[1])

    def due(self) -> float | None:
        """The arrival time of the next packet."""
        return self._packets[0][0] if self._packets else None


def _device(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    return descriptor


def _enter_network_of(process: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{process}/ns/net") as namespace:  # noqa: PTH123
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def main() -> None:
    """Create the devices, print a line, and forward packets until killed."""
    process, ours, theirs = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    delay, rate = float(sys.argv[4]), float(sys.argv[5])
    near = _device(ours)
    _enter_network_of(process)
    far = _device(theirs)
    print("ready", flush=True)
    directions = [
        _Direction(near, far, delay=delay, rate=rate),
        _Direction(far, near, delay=delay, rate=rate),
    ]
    while True:
        dues = [due for direction in directions if (due := direction.due()) is not None]
        wait = max(0.0, min(dues) - time.monotonic()) if dues else None
        readable, _, _ = select.select([near, far], [], [], wait)
        now = time.monotonic()
        for direction in directions:
            if direction.source in readable:
                direction.take(now)
            direction.give(now)


if __name__ == "__main__":
    main()

"""Ctrl-C ends the program also while its main thread waits in native code, where Python's handler does not get to run.

Python's own handler is left in place: where it can, KeyboardInterrupt unwinds the work, which cleans up after itself.
Beside it a thread hears of the signal at once (``signal.set_wakeup_fd``). It gives the main thread some time to unwind
and then ends the process; a second Ctrl-C ends it at once. Whatever is cut off there, the next run copes with.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["watch_interrupts"]

# Giving up an upload takes one request, after the parts on their way have arrived.
_GRACE_SECONDS = 3.0


def watch_interrupts(end: Callable[[], int]) -> None:
    """Watch for Ctrl-C from now until the process ends. For the main thread of a program, once.

    Args:
        end: Says that the program was interrupted, unless that is said already; returns the exit code.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # whoever started the program wants it to go on, as a shell does for one in the background
    hears, speaks = os.pipe()
    os.set_blocking(speaks, False)
    signal.set_wakeup_fd(speaks, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(hears, end), name="orbitpkg-interrupt", daemon=True).start()


def _watch(hears: int, end: Callable[[], int]) -> None:
    os.read(hears, 1)
    select.select([hears], [], [], _GRACE_SECONDS)
    os._exit(end())

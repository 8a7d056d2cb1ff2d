"""Run one command and write its cost as one line of JSON: `meter.py DESCRIPTOR COMMAND …`.

This is a separate, small process because on Linux a child's peak memory starts at that of its parent.
"""

import json
import os
import sys
import time

__all__ = ["main"]


def main() -> None:
    """Run the command. Its time and memory include those of its finished child processes."""
    descriptor, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - start
    cost = {
        "wall": wall,
        "user": used.ru_utime,
        "system": used.ru_stime,
        "memory": used.ru_maxrss * 1024,
        "status": os.waitstatus_to_exitcode(status),
    }
    os.write(descriptor, json.dumps(cost).encode())


if __name__ == "__main__":
    main()

"""One of many processes that use one store at once: `racer.py SEED SECONDS LOCKS REPOSITORY`, with `ORBITPKG_HOME` set.

With LOCKS "none" the kernel's `flock` is replaced by one that does nothing, as on network file systems that are
mounted so: that is the fault that is injected. Everything else is orbitpkg as it is.

Writes a line of JSON at its end: how many times it did what, and how many of those were refused.
"""

from __future__ import annotations

import collections
import fcntl
import json
import random
import sys
import time

from blake3 import blake3

import orbitpkg
from orbitpkg import FileNotInPackage, NotInstalled, OrbitError
from orbitpkg.api.maintain import tidy
from orbitpkg.store.garbage import Policy

SEED, SECONDS, LOCKS, REPOSITORY = sys.argv[1:]
VERSIONS = ["1.0.0", "2.0.0", "3.0.0"]
if LOCKS == "none":
    fcntl.flock = lambda _descriptor, _operation: None


def read(requirement: str) -> None:
    """Read a package that may be removed meanwhile: a file is whole, or it is not there."""
    package = orbitpkg.package(requirement)
    for file in package.contents.files:
        if package.is_complete or package.has_file(file.path):
            try:
                data = package.read_bytes(file.path)
            except FileNotFoundError:  # between naming it and opening it
                if orbitpkg.package(requirement).version != package.version:
                    continue
                raise FileNotInPackage(file.path) from None
            assert blake3(data).hexdigest() == file.blake3, (requirement, file.path, len(data))


def read_kept() -> None:
    """Read the package that no process removes, which must never fail."""
    package = orbitpkg.package("kept")
    assert package.is_complete
    for file in package.contents.files:
        assert blake3(package.file_path(file.path).read_bytes()).hexdigest() == file.blake3, file.path


def main() -> None:
    chance = random.Random(int(SEED))  # noqa: S311
    counts: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + float(SECONDS)
    while time.monotonic() < end:
        version = chance.choice(VERSIONS)
        deed = chance.choice(["install", "install", "some", "remove", "read", "read", "kept", "list", "gc"])
        counts["turns"] += 1
        counts[deed] += 1
        try:
            match deed:
                case "install":
                    orbitpkg.install(f"model=={version}", repository=REPOSITORY)
                case "some":
                    only = chance.choice(["a/*", "b/*", "*.bin"])
                    orbitpkg.install(f"model=={version}", repository=REPOSITORY, only=only)
                case "remove":
                    orbitpkg.remove(f"model=={version}")
                case "read":
                    read(f"model=={version}")
                case "kept":
                    read_kept()
                case "gc":
                    tidy(Policy(keep_last=chance.choice([None, 1])))
                case _:
                    orbitpkg.packages()
        except OrbitError as error:
            if not may_fail(deed, error):
                raise
            counts[f"{deed} refused: {error.code}"] += 1
    print(json.dumps(counts))  # noqa: T201


def may_fail(deed: str, error: OrbitError) -> bool:
    """Return whether a removal by another process explains an error."""
    if deed == "kept":
        return False
    if isinstance(error, NotInstalled | FileNotInPackage):
        return deed in {"read", "remove"}
    return deed in {"install", "some"} and "removed while it was being installed" in error.message


if __name__ == "__main__":
    main()

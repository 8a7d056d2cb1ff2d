"""Restoring what an installed release needs to be read at all, before its missing files are installed.

A crash of the system can leave an empty record, and a cleaner can take the record, the contents or the origin. Such a
release is compared with the one that is about to be installed, byte by byte, and repaired from it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, OrbitError, StorageError
from orbitpkg.files.anchors import read_regular
from orbitpkg.installer.repair import ArchiveSupplier, repair
from orbitpkg.store.condition import check_release
from orbitpkg.store.layout import CONTENTS_NAME, ORIGIN_NAME
from orbitpkg.store.package import open_package

if TYPE_CHECKING:
    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.install import Available
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Store

__all__ = ["mend"]


def mend(store: Store, available: Available, *, pool: Pool, reporter: Reporter) -> None:
    """Repair an installed release if its record, its contents or its origin is missing or damaged.

    Args:
        store: The store.
        available: The release that is about to be installed.
        pool: The workers.
        reporter: Receives progress.

    Raises:
        IntegrityError: The release could not be repaired.
        StorageError: The store cannot be read or written.
    """
    release = available.release
    if not _is_damaged(store, available):
        return
    condition = check_release(store.layout, release.key, release.version)
    if condition is None or not condition.findings:
        return
    reporter.note(f"Repairing {release.label}, which is damaged")
    left = repair(store, condition, ArchiveSupplier(available), pool=pool, reporter=reporter).condition.findings
    if left:
        paths = ", ".join(finding.path for finding in left[:3])
        raise IntegrityError(
            f"The installed {release.label} is damaged and could not be repaired: {paths}.",
            hint=f"Replace it: orbitpkg remove {release}, then orbitpkg install {release}",
        )


def _is_damaged(store: Store, available: Available) -> bool:
    release = available.release
    home = store.layout.release(release.key, release.version)
    try:
        package = open_package(store.layout, release.key, release.version)
    except StorageError:
        return True
    if package is None:
        return os.path.isdir(home) and bool(os.listdir(home))  # noqa: PTH112
    if package.digest != release.digest:
        return _has_no_contents(package)
    try:
        contents, _ = read_regular(f"{home}/{CONTENTS_NAME}", len(available.compressed) + 1)
        read_regular(f"{home}/{ORIGIN_NAME}", 1)
    except OSError:
        return True
    return contents != available.compressed


def _has_no_contents(package: Package) -> bool:
    try:
        package.contents  # noqa: B018 - reading it verifies it
    except OrbitError:
        return True
    return False

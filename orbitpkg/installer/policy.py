"""What may become visible to an app. Every way to install or open a release goes through :meth:`Policy.check`.

To add a check, write a function that takes a policy and a candidate and raises an error, and add it to ``CHECKS``.
"""

from __future__ import annotations

from orbitpkg.errors import ForbiddenFormat, ResolutionError
from orbitpkg.model.executables import forbidden_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Never, TypeAlias

    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.store.package import Package

    Check: TypeAlias = Callable[["Policy", "Candidate"], object]

__all__ = ["CHECKS", "Candidate", "Policy"]

_NAMED_FILES = 3


class _Frozen:
    """An immutable object. A dataclass takes longer to import than an app takes to find its file."""

    __slots__ = ()

    def __init__(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"{type(self).__name__} is immutable.")


class Candidate(_Frozen):
    """A release that is about to become visible, or files of it. Immutable.

    Attributes:
        name: The name of the package.
        version: The version of the release.
        record: The release's record, byte for byte.
        origin: The address of the repository or archive it comes from.
        compatibility: PEP 440 specifiers by app.
        list_paths: Returns the paths of the files concerned. Called only by checks that look at files, because the
            list of a large release takes time to read.
    """

    __slots__ = ("compatibility", "list_paths", "name", "origin", "record", "version")

    name: str
    version: str
    record: bytes
    origin: str
    compatibility: Mapping[str, str]
    list_paths: Callable[[], Iterable[str]]

    def __init__(
        self,
        *,
        name: str,
        version: str,
        record: bytes,
        origin: str,
        compatibility: Mapping[str, str],
        list_paths: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__(
            name=name,
            version=version,
            record=record,
            origin=origin,
            compatibility=compatibility,
            list_paths=list_paths,
        )

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"

    @classmethod
    def of_release(cls, release: Release, files: Iterable[FileEntry], *, origin: str) -> Candidate:
        """Return the candidate for files of a release."""
        return cls(
            name=release.name,
            version=str(release.version),
            record=release.raw,
            origin=origin,
            compatibility=release.compatibility,
            list_paths=lambda: [file.path for file in files],
        )

    @classmethod
    def of_package(cls, package: Package) -> Candidate:
        """Return the candidate for an installed package."""
        return cls(
            name=package.name,
            version=package.version,
            record=package.record,
            origin=package.origin,
            compatibility=package.compatibility,
            list_paths=package.files,
        )


class Policy(_Frozen):
    """The rules that apply on this machine, for this project and these apps. Immutable.

    Attributes:
        forbidden: The file formats that may not become visible.
        apps: The apps that will use the release; None when they are unknown or the user overrides them.
    """

    __slots__ = ("apps", "forbidden")

    forbidden: frozenset[str]
    apps: Apps | None

    def __init__(self, *, forbidden: frozenset[str] = frozenset(), apps: Apps | None = None) -> None:
        super().__init__(forbidden=forbidden, apps=apps)

    def check(self, candidate: Candidate) -> None:
        """Run all checks.

        Raises:
            OrbitError: A check refuses the candidate. Nothing of it may become visible.
        """
        for check in CHECKS:
            check(self, candidate)


def _check_formats(policy: Policy, candidate: Candidate) -> None:
    if not policy.forbidden:
        return
    found = forbidden_files(candidate.list_paths(), policy.forbidden)
    if not found:
        return
    files = [path for paths in found.values() for path in paths]
    more = f" and {len(files) - _NAMED_FILES} more" if len(files) > _NAMED_FILES else ""
    amount = "a file in a forbidden format" if len(files) == 1 else "files in forbidden formats"
    raise ForbiddenFormat(
        f"{candidate.name} {candidate.version} contains {amount}: {', '.join(files[:_NAMED_FILES])}{more} "
        f"({' and '.join(found)}, which can run code when loaded).",
        hint="Install the other files only (--only), or ask the publisher for safe formats (safetensors, ONNX).",
        formats={form: list(paths) for form, paths in found.items()},
    )


def _check_apps(policy: Policy, candidate: Candidate) -> None:
    excluded = policy.apps.verdict(candidate.compatibility).excluded if policy.apps is not None else ()
    if excluded:
        raise ResolutionError(
            f"{candidate.name} {candidate.version} does not work with {' or '.join(excluded)}.",
            hint="Install another version of the package, or of the app.",
        )


CHECKS: tuple[Check, ...] = (_check_formats, _check_apps)
"""The checks, in the order in which they run."""

"""``orbit.lock``: exactly which releases a project uses. Pure: text in, value out, and back.

The file is TOML, one table for each package in the order of their names, one fact on a line, so that a change of one
package is a change of few lines. Its last line is its end: a file that was cut short is not taken for one.

An app reads it on its way up, so this imports ``tomllib`` and nothing else that takes time.
"""

from __future__ import annotations

from orbitpkg.model.names import canonical_name, is_valid_name
from orbitpkg.model.versions import Immutable, parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from orbitpkg.errors import LockfileError
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version

__all__ = ["LOCK_NAME", "MAX_LOCK_BYTES", "Lock", "LockedPackage", "package_requirements", "parse_lock"]

LOCK_NAME = "orbit.lock"
MAX_LOCK_BYTES = 64 * 1024 * 1024

_FORMAT = 1
_HEAD = "# Written by orbitpkg. Keep it under version control; change it with orbitpkg add, lock and sync.\n"
_END = "# end"
_DIGITS = frozenset("0123456789abcdef")
_DIGEST_DIGITS = 64
_CONFLICT = ("<<<<<<<", ">>>>>>>")
_DELETE = "\x7f"
_KEYS = ("name", "version", "digest", "size", "repository", "dependencies")


class LockedPackage(Immutable):
    """One release that a project uses; immutable.

    Attributes:
        name: As its author writes it.
        key: The same in canonical form.
        version: Its version.
        digest: The release's digest.
        size: Of its archive in bytes.
        repository: The name of the repository it is from.
        dependencies: What it needs, as requirements in text, sorted.
        yanked: Why it was yanked when it was locked (``""`` when nobody said), or None when it was not.
    """

    __slots__ = ("dependencies", "digest", "key", "name", "repository", "size", "version", "yanked")

    dependencies: tuple[str, ...]
    digest: str
    key: str
    name: str
    repository: str
    size: int
    version: Version
    yanked: str | None

    def __init__(
        self,
        *,
        name: str,
        version: Version,
        digest: str,
        size: int,
        repository: str,
        dependencies: Iterable[str] = (),
        yanked: str | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "name", name)
        put(self, "key", canonical_name(name))
        put(self, "version", version)
        put(self, "digest", digest)
        put(self, "size", size)
        put(self, "repository", repository)
        put(self, "dependencies", tuple(sorted(dependencies)))
        put(self, "yanked", yanked)

    def _facts(self) -> tuple[object, ...]:
        return self.name, self.version, self.digest, self.size, self.repository, self.dependencies, self.yanked

    def is_same_release(self, other: LockedPackage) -> bool:
        """Whether another one locks the same release from the same repository, whatever was thought of it."""
        return self._facts()[:-1] == other._facts()[:-1]

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if isinstance(other, LockedPackage) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        return f"<LockedPackage {self}>"

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


class Lock(Immutable):
    """What a lockfile says; immutable.

    Attributes:
        packages: By canonical name, in the order of the names.
    """

    __slots__ = ("packages",)

    packages: Mapping[str, LockedPackage]

    def __init__(self, packages: Iterable[LockedPackage] = ()) -> None:
        by_key = {package.key: package for package in packages}
        object.__setattr__(self, "packages", {key: by_key[key] for key in sorted(by_key)})

    def __eq__(self, other: object) -> bool:
        return self.packages == other.packages if isinstance(other, Lock) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.packages.values()))

    def to_toml(self) -> str:
        """Write the lockfile; :func:`parse_lock` reads it back."""
        return "\n".join([f"{_HEAD}format = {_FORMAT}\n", *map(_table, self.packages.values()), f"{_END}\n"])

    def staleness(self, requirements: Iterable[Requirement]) -> list[str]:
        """Say why this does not answer what a project asks for, a sentence each; nothing when it does.

        A requirement that is not locked, or locked in another version than it allows; the same for what the locked
        packages need; a locked package that nothing needs.
        """
        wants = [(requirement, "the project") for requirement in requirements]
        reasons: list[str] = []
        seen: set[str] = set()
        while wants:
            want, by = wants.pop(0)
            package = self.packages.get(want.key)
            if package is None:
                reasons.append(f"{by} needs {want}, which is not locked.")
                continue
            if not want.range.allows(package.version):
                reasons.append(f"{by} needs {want}, and {package} is locked.")
            if want.key not in seen:
                seen.add(want.key)
                wants += [(each, str(package)) for each in package_requirements(package)]
        reasons += [f"{package} is locked, and nothing needs it." for package in self._beyond(seen)]
        return [f"{reason[0].upper()}{reason[1:]}" if reason.startswith("the ") else reason for reason in reasons]

    def _beyond(self, seen: set[str]) -> list[LockedPackage]:
        return [package for key, package in self.packages.items() if key not in seen]


def package_requirements(package: LockedPackage) -> list[Requirement]:
    """Read what a locked package needs.

    Raises:
        LockfileError: It cannot be read.
    """
    from orbitpkg.errors import UsageError
    from orbitpkg.model.requirements import parse_requirement

    try:
        return [parse_requirement(text) for text in package.dependencies]
    except UsageError as error:
        raise _damaged(LOCK_NAME, f"a dependency of {package}: {error.message}") from error


def _table(package: LockedPackage) -> str:
    lines = [
        "[[package]]",
        f"name = {_quoted(package.name)}",
        f"version = {_quoted(str(package.version))}",
        f"digest = {_quoted(package.digest)}",
        f"size = {package.size}",
        f"repository = {_quoted(package.repository)}",
    ]
    if package.yanked is not None:
        lines.append(f"yanked = {_quoted(package.yanked)}")
    if package.dependencies:
        lines += ["dependencies = [", *(f"  {_quoted(text)}," for text in package.dependencies), "]"]
    else:
        lines.append("dependencies = []")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(char if char >= " " and char != _DELETE else f"\\u{ord(char):04x}" for char in escaped) + '"'


def parse_lock(data: bytes, *, where: str = LOCK_NAME) -> Lock:
    """Read a lockfile.

    Args:
        data: The file.
        where: What it is, for messages: its path.

    Raises:
        LockfileError: It is of a newer format, holds a merge conflict, was cut short, names one package twice, or is
            no lockfile at all.
    """
    if len(data) > MAX_LOCK_BYTES:
        raise _damaged(where, f"it has {len(data):,} bytes, and {MAX_LOCK_BYTES:,} is the most")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _damaged(where, "it is not UTF-8") from None
    _refuse_conflict(text, where)
    table = _parsed(text, where)
    if type(table.get("format")) is not int:
        raise _damaged(where, "it does not say its format")
    if table["format"] > _FORMAT:
        raise _refusal(
            f"{where} has format {table['format']}; this orbitpkg reads format {_FORMAT}.",
            "Upgrade with pip install -U orbitpkg.",
        )
    if not text.rstrip().endswith(_END):
        raise _damaged(where, f'it was cut short: its last line, "{_END}", is not there')
    return _lock(table, where)


def _parsed(text: str, where: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:  # not TOML, or an integer of more digits than Python reads
        cut = "" if text.rstrip().endswith(_END) else "it was cut short: "
        raise _damaged(where, f"{cut}{error}") from None
    except RecursionError:
        raise _damaged(where, "it is nested too deep") from None


def _lock(table: dict[str, Any], where: str) -> Lock:
    rows = table.get("package", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _damaged(where, "package is not an array of tables")
    packages: dict[str, LockedPackage] = {}
    for number, row in enumerate(rows, start=1):
        package = _package(row, f"package {number}", where)
        there = packages.setdefault(package.key, package)
        if there is not package:
            raise _damaged(where, f"{there} and {package} are one package, locked twice")
    return Lock(packages.values())


def _package(row: dict[str, Any], which: str, where: str) -> LockedPackage:
    from orbitpkg.errors import UsageError

    missing = [key for key in _KEYS if key not in row]
    if missing:
        raise _damaged(where, f"{which} says no {' and no '.join(missing)}")
    name, digest, dependencies = row["name"], row["digest"], row["dependencies"]
    if not isinstance(name, str) or not is_valid_name(name):
        raise _damaged(where, f"{which} is named {name!r}")
    if not isinstance(digest, str) or len(digest) != _DIGEST_DIGITS or not _DIGITS.issuperset(digest):
        raise _damaged(where, f"the digest of {name} is not {_DIGEST_DIGITS} hexadecimal digits")
    if type(row["size"]) is not int or row["size"] < 0:
        raise _damaged(where, f"the size of {name} is not a number of bytes")
    if not isinstance(row["repository"], str) or not is_valid_name(row["repository"]):
        raise _damaged(where, f"the repository of {name} is named {row['repository']!r}")
    if not isinstance(row.get("yanked", ""), str):
        raise _damaged(where, f"what is yanked of {name} is not a text")
    if not isinstance(dependencies, list) or not all(isinstance(text, str) for text in dependencies):
        raise _damaged(where, f"the dependencies of {name} are not texts")
    try:
        version = parse_version(row["version"] if isinstance(row["version"], str) else repr(row["version"]))
    except UsageError as error:
        raise _damaged(where, f"the version of {name}: {error.message}") from error
    return LockedPackage(
        name=name,
        version=version,
        digest=digest,
        size=row["size"],
        repository=row["repository"],
        dependencies=dependencies,
        yanked=row.get("yanked"),
    )


def _refuse_conflict(text: str, where: str) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_CONFLICT):
            raise _refusal(
                f"{where} has a merge conflict, in line {number}.",
                f"Take one side of it (git checkout --ours {LOCK_NAME}), then: orbitpkg lock",
                line=number,
            )


def _damaged(where: str, reason: str) -> LockfileError:
    return _refusal(
        f"{where} cannot be used: {reason}.",
        f"Take it from version control, or make it anew: rm {LOCK_NAME}, then orbitpkg lock",
    )


def _refusal(message: str, hint: str, **data: object) -> LockfileError:
    from orbitpkg.errors import LockfileError

    return LockfileError(message, hint=hint, **data)

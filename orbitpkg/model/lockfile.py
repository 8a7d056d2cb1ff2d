"""``orbit.lock``: the exact releases that a project uses.

The file is TOML with one table for each package, sorted by name, and one fact on each line, which keeps diffs small.
The last line is an end marker that reveals a truncated file.

Applications read the lockfile when they start, so this module imports ``tomllib`` and nothing else that takes time.
"""

from __future__ import annotations

from orbitpkg.model.names import canonical_name, is_valid_name
from orbitpkg.model.versions import Immutable, parse_version
from orbitpkg.model.wording import UPGRADE_HINT, as_subject, unsupported_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from orbitpkg.errors import LockfileError
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version

__all__ = ["LOCK_NAME", "MAX_LOCK_BYTES", "Lock", "LockedPackage", "package_requirements", "parse_lock"]

LOCK_NAME = "orbit.lock"
# Enough for 50,000 packages. Parsing that many takes three seconds and 200 MiB.
# Parsing takes up to 90 times as much memory. Ten thousand packages take 3 MB.
MAX_LOCK_BYTES = 4 * 1024 * 1024

_FORMAT = 1
_HEAD = "# Written by orbitpkg. Keep it under version control; change it with orbitpkg add, lock and sync.\n"
_END = "# end"
_DIGITS = frozenset("0123456789abcdef")
_DIGEST_DIGITS = 64
_CONFLICT = ("<<<<<<<", ">>>>>>>")
_DELETE = "\x7f"
_KEYS = ("name", "version", "digest", "size", "repository", "dependencies")


class LockedPackage(Immutable):
    """A release that a project uses. Immutable.

    Attributes:
        name: The package name as its author spells it.
        key: The canonical name.
        version: The version.
        digest: The digest of the release.
        size: The size of its archive in bytes.
        repository: The name of its repository.
        dependencies: Its requirements as text, sorted.
        yanked: The reason if the release was yanked when it was locked (``""`` if no reason was given), else None.
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
        """Return whether both lock the same release from the same repository, whether or not it is yanked."""
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
    """The content of a lockfile. Immutable.

    Attributes:
        packages: The locked packages by canonical name, sorted by name.
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
        """Serialize the lockfile. :func:`parse_lock` is the inverse."""
        return "\n".join([f"{_HEAD}format = {_FORMAT}\n", *map(_table, self.packages.values()), f"{_END}\n"])

    def staleness(self, requirements: Iterable[Requirement]) -> list[str]:
        """Return the reasons why the lockfile does not match a project's requirements, one sentence each.

        The lockfile is stale if a requirement of the project or of a locked package is not locked, if the locked
        version is outside the required range, or if nothing requires a locked package.
        """
        wants = [(requirement, "the project") for requirement in requirements]
        reasons: list[str] = []
        seen: set[str] = set()
        while wants:
            want, by = wants.pop(0)
            package = self.packages.get(want.key)
            if package is None:
                reasons.append(f"{by} requires {want}, which is not locked.")
                continue
            if not want.range.allows(package.version):
                reasons.append(f"{by} requires {want}, but {package} is locked.")
            if want.key not in seen:
                seen.add(want.key)
                wants += [(each, str(package)) for each in package_requirements(package)]
        unused = [package for key, package in self.packages.items() if key not in seen]
        return [*map(as_subject, reasons), *(f"{package} is locked, but nothing requires it." for package in unused)]


def package_requirements(package: LockedPackage) -> list[Requirement]:
    """Parse the dependencies of a locked package.

    Raises:
        LockfileError: A dependency is not a valid requirement.
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
    """Parse a lockfile.

    Args:
        data: The content of the file.
        where: Its path, for error messages.

    Raises:
        LockfileError: The file is not a valid lockfile, is truncated, has a newer format, contains a merge conflict,
            or lists a package twice.
    """
    if len(data) > MAX_LOCK_BYTES:
        raise _damaged(where, f"it has {len(data):,} bytes; the maximum is {MAX_LOCK_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")  # some editors add a byte order mark
    except UnicodeDecodeError:
        raise _damaged(where, "it is not UTF-8") from None
    _check_conflicts(text, where)
    table = _parse_toml(text, where)
    if type(table.get("format")) is not int:
        raise _damaged(where, '"format" is missing or not an integer')
    if table["format"] > _FORMAT:
        raise _lockfile_error(unsupported_format(where, table["format"], _FORMAT), UPGRADE_HINT)
    if not text.rstrip().endswith(_END):
        raise _damaged(where, f'it is truncated: the last line must be "{_END}"')
    return _parse_table(table, where)


def _parse_toml(text: str, where: str) -> dict[str, Any]:
    from orbitpkg.model.tomltext import load_toml

    try:
        return load_toml(text)
    except ValueError as error:  # invalid TOML, or an integer with more digits than Python converts
        problem = "it is not valid TOML" if text.rstrip().endswith(_END) else "it is truncated"
        raise _damaged(where, f"{problem}: {error}") from None
    except RecursionError:
        raise _damaged(where, "its nesting is too deep") from None


def _parse_table(table: dict[str, Any], where: str) -> Lock:
    rows = table.get("package", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _damaged(where, '"package" is not an array of tables')
    packages: dict[str, LockedPackage] = {}
    for number, row in enumerate(rows, start=1):
        package = _parse_package(row, f"package {number}", where)
        first = packages.setdefault(package.key, package)
        if first is not package:
            raise _damaged(where, f"the same package is locked twice: {first} and {package}")
    return Lock(packages.values())


def _parse_package(row: dict[str, Any], which: str, where: str) -> LockedPackage:
    from orbitpkg.errors import UsageError

    missing = [key for key in _KEYS if key not in row]
    if missing:
        raise _damaged(where, f"{which} has no {' and no '.join(missing)}")
    problem = _row_problem(row, which)
    if problem:
        raise _damaged(where, problem)
    name = row["name"]
    try:
        version = parse_version(row["version"] if isinstance(row["version"], str) else repr(row["version"]))
    except UsageError as error:
        raise _damaged(where, f"the version of {name} is invalid: {error.message.removesuffix('.')}") from error
    return LockedPackage(
        name=name,
        version=version,
        digest=row["digest"],
        size=row["size"],
        repository=row["repository"],
        dependencies=row["dependencies"],
        yanked=row.get("yanked"),
    )


def _row_problem(row: dict[str, Any], which: str) -> str | None:
    name, digest, size, repository = row["name"], row["digest"], row["size"], row["repository"]
    dependencies = row["dependencies"]
    checks = (
        (isinstance(name, str) and is_valid_name(name), f"the name of {which} is invalid: {name!r}"),
        (_is_digest(digest), f"the digest of {name} is not {_DIGEST_DIGITS} hexadecimal digits"),
        (type(size) is int and size >= 0, f"the size of {name} is not a number of bytes"),
        (
            isinstance(repository, str) and is_valid_name(repository),
            f"the repository of {name} has an invalid name: {repository!r}",
        ),
        (isinstance(row.get("yanked", ""), str), f'"yanked" of {name} is not a string'),
        (
            isinstance(dependencies, list) and all(isinstance(text, str) for text in dependencies),
            f"the dependencies of {name} are not an array of strings",
        ),
    )
    return next((problem for is_valid, problem in checks if not is_valid), None)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == _DIGEST_DIGITS and _DIGITS.issuperset(value)


def _check_conflicts(text: str, where: str) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_CONFLICT):
            raise _lockfile_error(
                f"{where} contains a merge conflict in line {number}.",
                f"Keep one side (git checkout --ours {LOCK_NAME}), then run: orbitpkg lock",
                line=number,
            )


def _damaged(where: str, reason: str) -> LockfileError:
    return _lockfile_error(
        f"{where} is not a valid lockfile: {reason}.",
        f"Restore it from version control, or rebuild it: rm {LOCK_NAME}, then orbitpkg lock",
    )


def _lockfile_error(message: str, hint: str, **data: object) -> LockfileError:
    from orbitpkg.errors import LockfileError

    return LockfileError(message, hint=hint, **data)

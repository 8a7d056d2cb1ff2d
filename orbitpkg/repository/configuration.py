"""The configuration of a repository: ``orbitpkg.json``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orbitpkg.errors import IntegrityError
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.repository.layout import CONFIG_KEY

__all__ = ["MAX_CONFIG_BYTES", "RepositoryConfig", "parse_config"]

_FORMAT = 1
MAX_CONFIG_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig:
    """The content of ``orbitpkg.json``.

    Attributes:
        id: The permanent identifier of the repository, independent of its address.
        create_only: Whether the store respects create-only writes.
        part_copies: Whether the store copies parts of objects.
    """

    id: str
    create_only: bool
    part_copies: bool

    def to_json(self) -> bytes:
        """Serialize the configuration."""
        can = {"create_only": self.create_only, "part_copies": self.part_copies}
        return canonical_json({"format": _FORMAT, "id": self.id, "store": can})


def parse_config(data: bytes, *, where: str) -> RepositoryConfig:
    """Parse a repository's configuration.

    Args:
        data: The content of ``orbitpkg.json``.
        where: The repository's address, for messages.

    Raises:
        IntegrityError: It is damaged or has a newer format.
    """
    what = f"{CONFIG_KEY} of {where}"
    config = parse_json(data, what=what, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(config, dict) or type(config.get("format")) is not int:
        raise IntegrityError(f"{what} is not a repository's configuration.")
    if config["format"] > _FORMAT:
        raise IntegrityError(
            f"{where} has repository format {config['format']}; this version of orbitpkg supports format {_FORMAT}.",
            hint="To upgrade orbitpkg: pip install -U orbitpkg",
        )
    can = config.get("store")
    identity = config.get("id")
    if not isinstance(identity, str) or not re.fullmatch(r"[0-9a-f]{32}", identity) or not isinstance(can, dict):
        raise IntegrityError(f"{what} is damaged.")
    return RepositoryConfig(
        id=identity, create_only=can.get("create_only") is True, part_copies=can.get("part_copies") is True
    )

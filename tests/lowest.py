"""Print pip constraints that hold each dependency at the oldest version that pyproject.toml allows."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["lowest"]


def lowest(requirement: Requirement) -> str:
    """Return the requirement with its lower bound as the only version.

    Raises:
        ValueError: A dependency has no lower bound, so the lowest version to test is unknown.
    """
    bounds = [clause.version for clause in requirement.specifier if clause.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} needs one lower bound")
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}=={bounds[0]}{marker}"


def main() -> None:
    """Print one constraint a line."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    sys.stdout.writelines(f"{lowest(Requirement(text))}\n" for text in project["dependencies"])


if __name__ == "__main__":
    main()

"""Build `archives/` with the real Sputnik 0.9.3: `python make_archives.py FOLDER`, in an environment that has it.

Sputnik writes the time to an archive twice, so the bytes differ between runs, but not the contents.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# The expected contents of the archives.
PACKAGES: dict[str, dict[str, Any]] = {
    "test": {
        "package": {
            "name": "test",
            "description": "test package",
            "include": [["data", "*"]],
            "version": "1.0.0",
            "license": "public domain",
            "compatibility": {"test": None},
        },
        "files": {"data/xyz.model": "0" * 1024, "data/xyz.json": '{"test": true}', "data/empty": ""},
    },
    "my_model": {
        "package": {"name": "my_model", "include": [["data", "*"], ["*.txt"]], "version": "1.0"},
        "files": {"data/model": "weights\n" * 20000, "grüße.txt": "grüße", "not included/x": "x"},
    },
    "orbital_test_model": {
        "package": {
            "name": "orbital_test_model",
            "description": "This is a demo model, but it is still awesome.",
            "include": [["data", "*"], ["*", "*", "*"]],
            "version": "2.0.0",
            "license": "Proprietary",
            "compatibility": {"my_library": ">=1.1.1"},
        },
        "files": {"data/model.pkl": "pickle", "data/deep/er": "deep", "data/.hidden": "hidden"},
    },
}


def write(package: str, folder: Path) -> Path:
    """Write the directory of a package."""
    for path, text in PACKAGES[package]["files"].items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    (folder / "package.json").write_text(json.dumps(PACKAGES[package]["package"]), encoding="utf-8")
    return folder


def main(target: Path) -> None:
    """Build every package into a folder, and install it from there, as Sputnik does."""
    import sputnik  # type: ignore[import-not-found]  # installed only in a separate environment

    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        for package in PACKAGES:
            archive = sputnik.build(str(write(package, Path(work, package))), str(target))
            sputnik.install(None, None, archive.path, data_path=str(target / "installed"))


if __name__ == "__main__":
    # GzipFile's, of a mode that it has to guess.
    warnings.simplefilter("ignore", FutureWarning)
    main(Path(sys.argv[1]))

"""The steps of the READMEs of Sputnik and PyOrbital, unchanged except for the import lines.

Placeholders in angle brackets are filled in, as is a name that is left to the reader (`model_file_name`).
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.processes import S3Server

TOP = Path(__file__).parents[2]
IMPORTS = """
import io
import orbitpkg.compat.sputnik as sputnik
from orbitpkg.compat.orbital import patch_sputnik
"""


class Reader:
    """Runs the steps of a README in new Python processes, in the same folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(TOP),
            "HOME": str(folder / "home"),
            "ORBITPKG_HOME": str(folder / "home" / "orbitpkg"),
            "PYTHONWARNINGS": "error",
            **environment,
        }

    def types(self, text: str, *, warns: bool = False) -> str:
        """Run the lines, and return what they print, or their warnings."""
        done = subprocess.run(
            [sys.executable, "-c", f"{IMPORTS}\n{dedent(text)}"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert bool(done.stderr) is warns
        return done.stderr if warns else done.stdout

    def writes(self, path: str, text: str) -> None:
        """Write a file."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(dedent(text))


def test_the_readme_of_sputnik(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.writes("sample/package.json", '{"name": "my_model", "include": [["data", "*"]], "version": "1.0.0"}')
    reader.writes("sample/data/model", "weights")
    assert (
        reader.types(
            """
        archive = sputnik.build('sample')
        print(archive.path)
        """
        )
        == "sample/my_model-1.0.0.sputnik\n"
    )
    installed = reader.types(
        """
        package = sputnik.install('my_library', '1.0.0', 'sample/my_model-1.0.0.sputnik', data_path='packages')
        print(package.path)
        """
    )
    assert Path(installed.strip(), "data", "model").read_text() == "weights"
    assert Path(installed).is_relative_to(tmp_path / "packages")
    assert (
        reader.types(
            """
        packages = sputnik.find('my_library', '1.0.0', data_path='packages')
        print([p.ident for p in packages])
        """
        )
        == "['my_model-1.0.0']\n"
    )
    assert (
        reader.types(
            """
        package = sputnik.package('my_library', '1.0.0', 'my_model', data_path='packages')
        if package.has_path('data', 'model'):
          with io.open(package.file_path('data', 'model'), mode='r', encoding='utf8') as f:
            res = f.read()
            print(res)
        with package.open(['data', 'model'], mode='r', encoding='utf8') as f:
          res = f.read()
          print(res)
        """
        )
        == "weights\nweights\n"
    )
    listed = reader.types("print(sputnik.files('my_model', data_path='packages'))")
    assert ast.literal_eval(listed)["data/model"]["size"] == 7
    reader.types("sputnik.remove('my_library', '1.0.0', 'my_model', data_path='packages')")
    assert reader.types("print(sputnik.find('my_library', '1.0.0', data_path='packages'))") == "[]\n"
    reader.types("sputnik.purge('my_library', '1.0.0', data_path='packages')")


def test_the_package_strings_of_the_readme_of_sputnik(tmp_path: Path) -> None:
    reader = Reader(tmp_path, ORBITPKG_REPOSITORY=(tmp_path / "repository").as_uri())
    for version in ("0.9.0", "1.0.0", "1.1.0"):
        reader.writes(
            "sample/package.json",
            json.dumps({"name": "my_model", "include": [["data", "*"]], "version": version}),
        )
        reader.writes("sample/data/model", version)
        reader.types("sputnik.upload('my_library', '1.0.0', sputnik.build('sample').path)")
    assert reader.types(
        """
        print(sputnik.install('my_library', '1.0.0', 'my_model ==1.0.0', data_path='packages').ident)
        print(sputnik.find('my_library', '1.0.0', 'my_model >1.0.0', data_path='packages'))
        print(sputnik.package('my_library', '1.0.0', 'my_model >=1.0.0', data_path='packages').ident)
        print([p.ident for p in sputnik.search('my_library', '1.0.0', 'my_model <1.0.0', data_path='packages')])
        print(list(sputnik.files('my_library', '1.0.0', 'my_model <=1.0.0', data_path='packages')))
        print(sputnik.find('my_library', '1.0.0', 'my_model >=1.0.0,<2.0.0', data_path='packages')[0].ident)
        sputnik.remove('my_library', '1.0.0', 'my_model ==1.0.0', data_path='packages')
        """
    ).splitlines() == [
        "my_model-1.0.0",
        "[]",
        "my_model-1.0.0",
        "['my_model-0.9.0']",
        "['data/model']",
        "my_model-1.0.0",
    ]


def test_the_compatibility_of_the_readme_of_sputnik(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.writes(
        "my_model/package.json",
        """\
        {
          "name": "my_model",
          "description": "this model is awesome",
          "include": ["data/*"],
          "version": "2.0.0",
          "license": "public domain",
          "compatibility": {
            "my_library": null
          }
        }
        """,
    )
    reader.writes("my_model/data/model", "weights")
    assert reader.types("print(sputnik.build('my_model').to_dict())") == (
        "{'name': 'my_model', 'version': '2.0.0', 'description': 'this model is awesome', "
        "'license': 'public domain', 'compatibility': {'my_library': None}}\n"
    )


@pytest.fixture
def orbital(tmp_path: Path, moto: S3Server) -> Reader:
    """The package of PyOrbital's README, a bucket, and a folder."""
    reader = Reader(tmp_path, BUCKET=moto.new_bucket(), **moto.env())
    reader.writes(
        "sputnik_sample/package.json",
        """\
        {
            "name": "orbital_test_model",
            "description": "This is a demo model, but it is still awesome.",
            "include": [["data", "*"]],
            "version": "2.0.0",
            "license": "Proprietary",
            "compatibility": {
                "my_library": ">=1.1.1"
            }
        }

        """,
    )
    reader.writes("sputnik_sample/data/model.pkl", "model")
    return reader


def test_the_readme_of_pyorbital(orbital: Reader) -> None:
    orbital.types(
        """
        package = sputnik.build("sputnik_sample")
        patch_sputnik()
        sputnik.upload("myapp", "1.0.0", package.path)
        """
    )
    # The README installs for my_library 1.0.0 a package that requires 1.1.1 or newer.
    warned = orbital.types(
        """
        patch_sputnik()
        sputnik.install("my_library", "1.0.0", "orbital_test_model==2.0.0")
        """,
        warns=True,
    )
    assert warned == (
        "orbital_test_model-2.0.0 was installed as requested, but it does not work with my_library 1.0.0 "
        "(works with my_library>=1.1.1).\n"
    )
    path_to_load = orbital.types(
        """
        model_file_name = ("data", "model.pkl")
        package = sputnik.package("my_library", "1.1.3.", "orbital_test_model==2.0.0")
        path_to_load = package.file_path(*model_file_name)
        print(path_to_load)
        """
    )
    assert Path(path_to_load.strip()).read_text() == "model"

"""``dataset show``: the tree of a local file or a file in a dataset, the contents of a dataset, and plots of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import h5py
import numpy as np
import pytest

from orbitpkg.cli.program import run
from orbitpkg.datasets.dataset import create_dataset
from tests.cli.machine import Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with files, and a home with a dataset of them. The directory's name contains a space."""
    folder = tmp_path_factory.mktemp("a lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ORBITPKG_HOME", str(folder / "home"))
        patch.setenv("ORBITPKG_CONFIG", str(folder / "config.toml"))
        patch.delenv("ORBITPKG_REPOSITORY", raising=False)
        with h5py.File("Lauf 1.h5", "w") as file:
            file.attrs["robot"] = "sawyer"
            file.attrs["notes"] = "über " * 30
            file.create_dataset("env/images", data=np.zeros((5, 12, 16, 3), "u1"), compression="gzip")
            file["env/images"].attrs["units"] = "a\n\x1b[31mb"
            file["state"] = np.arange(10.0).reshape(5, 2)
            file["there"] = h5py.SoftLink("/state")
        np.savez("b.npz", a=np.arange(3))
        runs = create_dataset("runs")
        runs.register("Lauf 1.h5", tags={"robot": "sawyer"})
        runs.register("b.npz")
        yield folder


class Show(Protocol):
    def __call__(self, *words: str) -> Result: ...


@pytest.fixture
def show(lab: Path, capsys: pytest.CaptureFixture[str]) -> Show:
    """Run the command in this process, because importing its libraries takes long."""

    def run_it(*words: str) -> Result:
        code = run(["dataset", "show", *words])
        return Result(code, *capsys.readouterr())

    return run_it


TREE = """\
Lauf 1.h5: HDF5, … kB
| @notes = über über über über über über über über über über über üb...
| @robot = sawyer
|-- env/
|   `-- images  5 x 12 x 16 x 3, uint8, 2.9 kB, … bytes stored, gzip
|         @units = a \\x1b[31mb
|-- state  5 x 2, float64, 80 bytes
`-- there  link to /state
"""


def fits(text: str, pattern: str) -> bool:
    """Return whether a text matches a pattern, in which "…" stands for one word."""
    lines = zip(text.split("\n"), pattern.split("\n"), strict=True)
    return all(
        expected in (word, "…")
        for line, shape in lines
        for word, expected in zip(line.split(" "), shape.split(" "), strict=True)
    )


def test_a_file_is_shown_as_a_tree(show: Show) -> None:
    done = show("Lauf 1.h5")
    assert (done.code, done.err) == (0, "")
    assert fits(done.out, TREE), done.out


def test_a_file_of_a_dataset_is_shown_as_the_same_tree(show: Show) -> None:
    done = show("runs", "Lauf 1.h5")
    assert done.code == 0, done.err
    assert fits(done.out, TREE.replace("Lauf 1.h5:", "Lauf 1.h5 in runs:")), done.out


def test_a_file_is_shown_as_json(show: Show) -> None:
    shown = show("Lauf 1.h5", "--json").envelope["data"]
    assert (shown["file"], shown["format"]) == ("Lauf 1.h5", "HDF5")
    assert shown["root"]["attributes"]["robot"] == "sawyer"
    env, state, there = shown["root"]["children"]
    assert env["children"][0]["attributes"] == {"units": "a\n\x1b[31mb"}
    assert (state["shape"], state["type"], state["bytes"]) == ([5, 2], "float64", 80)
    assert there["kind"] == "link"


def test_a_dataset_is_shown_by_a_tag(show: Show, lab: Path) -> None:
    done = show("runs", "--by", "robot", "--json").envelope["data"]
    groups = {each["value"]: (each["files"], each["bytes"]) for each in done["groups"]}
    sizes = [(lab / name).stat().st_size for name in ("Lauf 1.h5", "b.npz")]
    assert groups == {"sawyer": (1, sizes[0]), None: (1, sizes[1])}
    assert show("runs").out.startswith("all files  2 files")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("Lauf 1.h5",), "Plotted env/images[2] as a colour image\n  out.png\n"),
        (("Lauf 1.h5", "--array", "state"), "Plotted state as an image\n  out.png\n"),
        (("runs", "b.npz"), "Plotted a as a line\n  out.png\n"),
        (("runs", "--by", "robot"), "Plotted the growth of runs\n  out.png\n"),
    ],
    ids=["file", "array", "file of a dataset", "dataset"],
)
def test_pictures_are_drawn(show: Show, lab: Path, words: tuple[str, ...], says: str) -> None:
    done = show(*words, "--plot", "out.png")
    assert (done.code, done.err, done.out) == (0, "", says)
    picture = lab / "out.png"
    assert picture.read_bytes().startswith(PNG)
    picture.unlink()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nothing.h5",), "No file or dataset named nothing.h5 found."),
        (("no/such.h5",), "No file or dataset named no/such.h5 found."),
        (("runs", "it's.h5"), 'No file named "it\'s.h5" found in dataset runs.'),
        (("runs", "--by", "robbot"), "Unknown column 'robbot'."),
        (("Lauf 1.h5", "--plot", "out.pdf"), "Cannot plot to out.pdf: the file name must end in .png."),
        (("Lauf 1.h5", "--plot", "out.png", "--array", "env"), "Lauf 1.h5 has no array 'env'."),
        (("runs", "--where", "robot = 'x'", "--plot", "out.png"), "There is nothing to plot: no data are selected."),
    ],
)
def test_data_that_cannot_be_shown_are_an_error(show: Show, words: tuple[str, ...], says: str) -> None:
    done = show(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"error: {says}"), done.err


def test_a_truncated_file_is_an_error(show: Show, lab: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.h5").write_bytes((lab / "Lauf 1.h5").read_bytes()[:2000])
    done = show(str(tmp_path / "cut.h5"))
    assert done.code == 1
    assert "cannot be read as HDF5" in done.err
    assert "truncated file" in done.err

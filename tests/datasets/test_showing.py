"""Scientific files are looked into without being read whole or trusted, and pictures of arrays suit their shapes."""

from __future__ import annotations

import json
import math
import pickle
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import h5py
import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib import image as images
from safetensors.numpy import save_file

from orbitpkg.datasets.extraction import extract
from orbitpkg.datasets.growth import MAX_GROUPS, plot_growth
from orbitpkg.datasets.plotting import Form, choose_array, choose_form, plot_array
from orbitpkg.datasets.showing import MAX_DEPTH, Node, describe, open_array
from orbitpkg.errors import IntegrityError, OrbitError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def outline(node: Node, prefix: str = "") -> Iterator[tuple[object, ...]]:
    """List what is in a file: path, kind, shape, type."""
    for child in node.children:
        yield f"{prefix}{child.name}", child.kind, child.shape, child.type
        yield from outline(child, f"{prefix}{child.name}/")


def make_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["robot"] = "sawyer"
        file.create_dataset("env/images", data=np.zeros((5, 12, 16, 3), "u1"), compression="gzip")
        file["env/images"].attrs["units"] = "Zählwert"
        file["env/state"] = np.arange(10.0).reshape(5, 2)
        file["label"] = "cup"
        file["none"] = h5py.Empty("f4")
        file["there"] = h5py.SoftLink("/env/images")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
        file["again"] = file["env"]
        file["again/up"] = file["/"]
    return path


def make_netcdf(path: Path) -> Path:
    with netCDF4.Dataset(path, "w") as file:
        file.title = "Réanalyse"
        file.createDimension("time", None)
        file.createDimension("x", 3)
        variable = file.createVariable("t2m", "f4", ("time", "x"), fill_value=-9, zlib=True)
        variable[:] = np.ma.masked_equal([[1, 2, -9], [3, 4, 5]], -9)
        names = file.createGroup("extra").createVariable("names", str, ("x",))
        names[:] = np.array(["a", "é", "c"], dtype=object)
    return path


def make_classic_netcdf(path: Path) -> Path:
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("time", None)
        file.createDimension("x", 3)
        file.createVariable("p", "f8", ("time", "x"), fill_value=-9)[:] = [[1, 2, -9], [3, 4, 5]]
        file.variables["p"].units = "hPa"
    return path


def make_parquet(path: Path) -> Path:
    table = pa.table({"x": [1, None, 3], "né": ["a", "b", None]}).replace_schema_metadata({"site": "Århus"})
    pq.write_table(table, path)
    return path


def make_safetensors(path: Path) -> Path:
    save_file({"w": np.arange(12, dtype="f4").reshape(3, 4), "b": np.ones(2, "f2")}, path, metadata={"task": "x"})
    return path


def make_npz(path: Path) -> Path:
    np.savez_compressed(path, a=np.arange(10.0), o=np.array([{"a": 1}], dtype=object))
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "a file.h5": make_hdf5,
    "climate.nc": make_netcdf,
    "classic.nc": make_classic_netcdf,
    "rows.parquet": make_parquet,
    "model.safetensors": make_safetensors,
    "arrays.npz": make_npz,
}
each_kind = pytest.mark.parametrize("name", MAKERS)


# What is in a file.


def test_an_hdf5_file_is_described_with_its_groups_arrays_and_links(tmp_path: Path) -> None:
    shown = describe(make_hdf5(tmp_path / "a file.h5"))
    assert (shown.format, shown.bytes) == ("HDF5", (tmp_path / "a file.h5").stat().st_size)
    assert shown.root.attributes == {"robot": "sawyer"}
    assert list(outline(shown.root)) == [
        ("again", "group", None, ""),
        ("again/images", "array", (5, 12, 16, 3), "uint8"),
        ("again/state", "array", (5, 2), "float64"),
        ("again/up", "group", None, ""),
        ("elsewhere", "link", None, ""),
        ("env", "group", None, ""),
        ("label", "array", (), "text"),
        ("none", "array", None, "float32"),
        ("there", "link", None, ""),
    ]
    frames = shown.root.children[0].children[0]
    assert (frames.bytes, frames.details, frames.attributes) == (2880, ("gzip",), {"units": "Zählwert"})
    assert frames.stored is not None
    assert 0 < frames.stored < 2880


def test_a_netcdf_file_is_described_with_its_dimensions(tmp_path: Path) -> None:
    root = describe(make_netcdf(tmp_path / "climate.nc")).root
    assert root.details == ("time = 2, may grow", "x = 3")
    assert root.attributes == {"title": "Réanalyse"}
    assert list(outline(root)) == [
        ("t2m", "array", (2, 3), "float32"),
        ("extra", "group", None, ""),
        ("extra/names", "array", (3,), "text"),
    ]
    assert root.children[0].details == ("(time, x)", "gzip")


def test_a_classic_netcdf_file_is_described(tmp_path: Path) -> None:
    root = describe(make_classic_netcdf(tmp_path / "classic.nc")).root
    assert root.details == ("time = 2, may grow", "x = 3")
    (variable,) = root.children
    assert (variable.shape, variable.type, variable.bytes) == ((2, 3), "float64", 48)
    assert variable.attributes == {"_FillValue": -9.0, "units": "hPa"}


def test_a_parquet_file_is_described_with_its_columns(tmp_path: Path) -> None:
    root = describe(make_parquet(tmp_path / "rows.parquet")).root
    assert root.details[:2] == ("3 rows", "1 row group")
    assert root.attributes == {"site": "Århus"}
    assert list(outline(root)) == [("x", "column", (3,), "int64"), ("né", "column", (3,), "string")]


def test_a_safetensors_file_is_described_with_its_tensors(tmp_path: Path) -> None:
    root = describe(make_safetensors(tmp_path / "model.safetensors")).root
    assert root.attributes == {"task": "x"}
    assert set(outline(root)) == {("w", "array", (3, 4), "F32"), ("b", "array", (2,), "F16")}
    assert sum(child.bytes or 0 for child in root.children) == 52


def test_pickles_in_an_npz_file_are_named_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "arrays.npz"
    np.savez(path, a=np.arange(3), o=np.array([Trap()], dtype=object))
    root = describe(path).root
    assert list(outline(root)) == [("a", "array", (3,), "int64"), ("o", "array", (1,), "objects")]
    with pytest.raises(UsageError, match="it is a pickle and could run code"), open_array(path, "o"):
        pass
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(Trap()))  # noqa: S301 - shows that this test can fail
    assert (tmp_path / "sprung").exists()


def test_a_single_npy_file_is_described(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    assert list(outline(describe(tmp_path / "a.npy").root)) == [("", "array", (3, 4), "float64")]


def test_files_are_known_by_how_they_begin(tmp_path: Path) -> None:
    for name, make in MAKERS.items():
        if not name.endswith((".nc", ".safetensors")):
            path = make(tmp_path / name)
            assert describe(path.rename(tmp_path / "no name")).root.children


def test_groups_deeper_than_anybody_reads_are_not_looked_into(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "deep.h5", "w") as file:
        file.create_group("/".join("g" * 300))
    node, depth = describe(tmp_path / "deep.h5").root, 0
    while node.children:
        node, depth = node.children[0], depth + 1
    assert (depth, node.details) == (MAX_DEPTH + 1, ("not shown: nested too deeply",))


# Broken files.


@each_kind
def test_a_truncated_file_is_refused_or_described_by_its_header(tmp_path: Path, name: str) -> None:
    whole = MAKERS[name](tmp_path / name).read_bytes()
    refused = 0
    for length in range(16, len(whole) - 1, max(1, len(whole) // 40)):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(IntegrityError, match="cannot be read as"):
            describe(tmp_path / name)
        refused += 1
    assert refused > 20


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"a file.h5", "climate.nc"}))
def test_a_file_with_altered_bytes_is_described_or_refused_without_other_errors(tmp_path: Path, name: str) -> None:
    whole = MAKERS[name](tmp_path / name).read_bytes()
    refused = 0
    for seed in range(40):
        random = Random(seed)  # noqa: S311 - to be had again
        data = bytearray(whole)
        for _ in range(random.choice([1, 4, 20])):
            data[random.randrange(len(data))] = random.choice([0, 255, random.randrange(256)])
        (tmp_path / name).write_bytes(data)
        json.dumps(extract(tmp_path / name).metadata, allow_nan=False)
        try:
            describe(tmp_path / name)
        except OrbitError:
            refused += 1
    assert 0 < refused < 40


def test_an_invalid_scientific_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.h5").write_text("notes")
    with pytest.raises(UsageError, match=r"The format of notes.h5 is not supported"):
        describe(tmp_path / "notes.h5")
    with pytest.raises(StorageError, match="No such file"):
        describe(tmp_path / "missing.h5")


@pytest.mark.parametrize(
    "header",
    [b'{"w": 1}', b'{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', b'{"w": {"shape": []}}', b"[]"],
)
def test_a_safetensors_header_of_nonsense_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(IntegrityError):
        describe(path)


# Pictures of arrays.


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((100,), "f", (Form.LINE, ())),
        ((100,), "b", (Form.BARS, ())),
        ((100,), "O", (Form.BARS, ())),
        ((100, 5), "f", (Form.LINES, ())),
        ((5, 100), "f", (Form.IMAGE, ())),
        ((4, 4), "i", (Form.IMAGE, ())),
        ((64, 48), "u", (Form.IMAGE, ())),
        ((64, 48, 3), "u", (Form.COLOUR_IMAGE, ())),
        ((15, 64, 48, 3), "u", (Form.COLOUR_IMAGE, (7,))),
        ((15, 64, 48), "f", (Form.IMAGE, (7,))),
        ((2, 15, 64, 48), "f", (Form.IMAGE, (1, 7))),
        ((64, 32, 3, 3), "f", (Form.HISTOGRAM, ())),
    ],
)
def test_the_form_of_a_picture_follows_from_the_shape(
    shape: tuple[int, ...], kind: str, expected: tuple[Form, tuple[int, ...]]
) -> None:
    assert choose_form(shape, kind) == expected


def draw(folder: Path, values: object) -> tuple[Form, np.ndarray]:
    """Draw an array; returns the form and the picture's pixels."""
    with h5py.File(folder / "file.h5", "w") as file:
        file["an $array"] = values
    picture = plot_array(folder / "file.h5", "an $array", folder / "out.png")
    pixels = images.imread(picture.path)
    assert pixels.shape[:2] == (600, 960)
    return picture.form, (pixels[..., :3] * 255).round().astype(int)


def test_an_image_shows_the_arrays_own_colours(tmp_path: Path) -> None:
    values = np.zeros((40, 60, 3), "u1")
    values[:20], values[20:] = (200, 10, 30), (5, 120, 250)
    form, pixels = draw(tmp_path, values)
    assert form is Form.COLOUR_IMAGE
    upper, lower = ((pixels == colour).all(-1) for colour in ((200, 10, 30), (5, 120, 250)))
    assert abs(int(upper.sum()) - int(lower.sum())) < 2000 < int(upper.sum())
    assert np.argwhere(upper)[:, 0].max() < np.argwhere(lower)[:, 0].min()


def test_a_grey_image_has_the_layout_of_the_array(tmp_path: Path) -> None:
    values = np.full((50, 50), 255, "u1")
    values[:10, :25] = 0
    _, pixels = draw(tmp_path, values)
    dark = np.argwhere((pixels[80:560, 220:740] == 0).all(-1))
    assert dark.mean(0)[0] < 240 - 100
    assert dark.mean(0)[1] < 260


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (np.sin(np.arange(300) / 20), Form.LINE),
        (np.where(np.arange(50_000) // 9000 % 2, np.nan, 1.0), Form.LINE),
        (np.array([1, np.inf, 2, -np.inf]), Form.LINE),
        (np.exp(1j * np.arange(300)), Form.LINE),
        (np.arange(40).reshape(20, 2), Form.LINES),
        (np.full((30, 30), np.nan), Form.IMAGE),
        (np.arange(120_000.0).reshape(12, 10_000), Form.IMAGE),
        (np.array([b"a", "机器".encode(), b"a"]), Form.BARS),
        (np.arange(64 * 9.0).reshape(64, 3, 3), Form.HISTOGRAM),
        (np.full((64, 3, 3), np.nan), Form.HISTOGRAM),
    ],
    ids=lambda value: value.name if isinstance(value, Form) else str(np.shape(value)),
)
def test_arrays_of_all_shapes_are_drawn(tmp_path: Path, values: object, form: Form) -> None:
    drawn, pixels = draw(tmp_path, values)
    assert drawn is form
    assert (pixels < 128).any()


def test_the_same_array_gives_the_same_picture(tmp_path: Path) -> None:
    draw(tmp_path, np.arange(10))
    first = (tmp_path / "out.png").read_bytes()
    draw(tmp_path, np.arange(10))
    assert (tmp_path / "out.png").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.h5", "out.png"]


@each_kind
def test_an_array_of_each_kind_of_file_is_chosen_and_drawn(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name)
    chosen = choose_array(describe(path).root)
    assert plot_array(path, chosen, tmp_path / "out.png").name == chosen
    expected = {
        "climate.nc": "t2m",
        "classic.nc": "p",
        "rows.parquet": "x",
        "model.safetensors": "w",
        "arrays.npz": "a",
    }
    assert chosen == expected.get(name, "again/images")


@pytest.mark.parametrize(("make", "name"), [(make_netcdf, "t2m"), (make_classic_netcdf, "p")])
def test_values_missing_from_a_netcdf_file_are_nan(tmp_path: Path, make: Callable[[Path], Path], name: str) -> None:
    with open_array(make(tmp_path / "climate.nc"), name) as array:
        values = array[:]
    np.testing.assert_array_equal(values, [[1, 2, math.nan], [3, 4, 5]])


def test_bfloat16_is_read(tmp_path: Path) -> None:
    header = b'{"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}'
    data = np.array([1.0, -2.5, 3.0], "<f4").view("<u4") >> 16
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data.astype("<u2").tobytes())
    with open_array(tmp_path / "m.safetensors", "w") as array:
        assert array[:].tolist() == [1.0, -2.5, 3.0]


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("label", "out.png", "label contains one value, which cannot be plotted"),
        ("none", "out.png", "has no array 'none'"),
        ("env", "out.png", "has no array 'env'"),
        ("nowhere/at/all", "out.png", "has no array 'nowhere/at/all'"),
        ("env/state", "out.pdf", "the file name must end in .png"),
    ],
)
def test_values_that_cannot_be_drawn_are_reported(tmp_path: Path, name: str, target: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plot_array(make_hdf5(tmp_path / "a.h5"), name, tmp_path / target)
    assert not (tmp_path / target).exists()


def test_an_image_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    path = make_hdf5(tmp_path / "a.h5")
    (tmp_path / "out.png").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        plot_array(path, "env/state", tmp_path / "out.png")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.h5", "out.png"]


# Pictures of datasets.

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_dataset_is_drawn_by_a_tag_with_a_colour_for_each_value(tmp_path: Path) -> None:
    rows = [
        {"registered": START + timedelta(days=day), "size": 1000, "robot": "sawyer" if day % 4 else "a $baxter"}
        for day in range(100)
    ]
    plot_growth(rows, tmp_path / "out.png", title="runs", by="robot")
    pixels = (images.imread(tmp_path / "out.png")[..., :3] * 255).round().astype(int)
    blue, orange = ((pixels == colour).all(-1).sum() for colour in ((31, 119, 180), (255, 127, 14)))
    assert 2.7 < blue / orange < 3.3


@pytest.mark.parametrize("by", [None, "robot", "missing"])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_datasets_of_all_sizes_are_drawn(tmp_path: Path, by: str | None, count: int) -> None:
    rows = [{"registered": START.isoformat(), "size": 0, "robot": f"r{number}"} for number in range(count)]
    assert count < MAX_GROUPS or count == 50
    plot_growth(rows, tmp_path / "out.png", title="机器 $x", by=by)
    assert images.imread(tmp_path / "out.png").shape[:2] == (600, 960)


def test_a_dataset_without_files_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to plot"):
        plot_growth([], tmp_path / "out.png", title="runs")

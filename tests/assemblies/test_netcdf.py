"""Assemblies survive a round trip; the same assembly produces identical bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from orbitpkg.assemblies import AssemblyLoader, BehavioralAssembly, DataAssembly, NeuroidAssembly, SpikeTimesAssembly
from orbitpkg.assemblies.netcdf import read_netcdf, write_netcdf
from orbitpkg.errors import IntegrityError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).resolve().parents[2]


def load(path: Path) -> NeuroidAssembly:
    loaded: NeuroidAssembly = AssemblyLoader(NeuroidAssembly, path).load()
    return loaded


def test_an_assembly_survives_a_round_trip(tmp_path: Path, assembly: NeuroidAssembly) -> None:
    write_netcdf(assembly, tmp_path / "a.nc", attributes={"identifier": "lab.Me2026"})
    loaded = load(tmp_path / "a.nc")
    assert type(loaded) is NeuroidAssembly
    np.testing.assert_array_equal(loaded.values, assembly.values)
    assert loaded.dims == assembly.dims
    assert loaded.dtype == assembly.dtype
    assert set(loaded.coords) == set(assembly.coords)
    for name in ("stimulus_id", "repetition", "neuroid_id", "region", "time_bin_start"):
        np.testing.assert_array_equal(loaded[name].values, assembly[name].values)
    assert loaded.attrs == {"identifier": "lab.Me2026", "lab": "Århus", "rate": 2.5, "is_public": 1}


def test_every_coordinate_can_be_used_to_select(tmp_path: Path, assembly: NeuroidAssembly) -> None:
    write_netcdf(assembly, tmp_path / "a.nc")
    loaded = load(tmp_path / "a.nc")
    assert loaded.sel(region="IT").values.ravel().tolist() == [1, 3, 5, 7, 9, 11]
    assert loaded.sel(stimulus_id="né", neuroid_id="A").values.ravel().tolist() == [4, 10]
    only = DataAssembly([1, 2], coords={"neuroid_id": ("neuroid", ["A", "B"])}, dims=["neuroid"])
    assert only.sel(neuroid_id="B").item() == 2


def test_a_selection_of_an_assembly_has_the_same_class(assembly: NeuroidAssembly) -> None:
    part = assembly.isel(presentation=slice(2)) * 2
    assert type(part) is NeuroidAssembly
    assert part.sel(region="V4").values.ravel().tolist() == [0, 4]


def test_the_file_follows_the_format(tmp_path: Path, assembly: NeuroidAssembly) -> None:
    write_netcdf(assembly, tmp_path / "a.nc", attributes={"identifier": "i", "stimulus_set_identifier": "s"})
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file.variables["data"].dimensions == ("presentation", "neuroid", "time_bin")
        assert set(file.variables["data"].coordinates.split()) == set(file.variables) - {"data"}
        assert (file.identifier, file.stimulus_set_identifier) == ("i", "s")
    # The same calls as in BrainIO's loader.
    with xr.open_dataarray(tmp_path / "a.nc") as array:
        np.testing.assert_array_equal(array.values, assembly.values)


PROGRAM = """
import pathlib
import numpy as np
from orbitpkg.assemblies import NeuroidAssembly
from orbitpkg.assemblies.netcdf import write_netcdf
sides = {name: "presentation" if name < "n" else "neuroid" for name in names}
coords = {name: (side, [name + str(i) for i in range(3)]) for name, side in sides.items()}
array = NeuroidAssembly(np.eye(3), coords=coords, dims=["presentation", "neuroid"], attrs=dict.fromkeys(names, 1))
extra = NeuroidAssembly(np.eye(3), dims=["presentation", "neuroid"])
extras = {"x" + name: extra for name in names}
write_netcdf(array, pathlib.Path(path), attributes=dict.fromkeys(names, "é"), extras=extras)
"""


def test_the_same_assembly_gives_the_same_bytes(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here.nc", tmp_path / "elsewhere.nc"
    exec(PROGRAM, {"path": str(here), "names": list("abcop")})  # noqa: S102 - as in the other process
    program = f"path, names = {str(elsewhere)!r}, list('pcoba')\n{PROGRAM}"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(TOP), "TZ": "UTC+9"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert here.read_bytes() == elsewhere.read_bytes()


def test_the_file_does_not_record_when_it_was_written(tmp_path: Path, assembly: NeuroidAssembly) -> None:
    write_netcdf(assembly, tmp_path / "a.nc", extras={"more": assembly})
    with h5py.File(tmp_path / "a.nc") as file:
        found: list[bool] = []
        file.visititems(
            lambda _, each: (
                found.append(each.id.get_create_plist().get_obj_track_times())
                if isinstance(each, h5py.Dataset)
                else None
            )
        )
    assert found
    assert not any(found)
    # The root group's header (HDF5 File Format Specification, IV.A.1.b): bit 5 of its flags announces times.
    header = (tmp_path / "a.nc").read_bytes().index(b"OHDR")
    assert not (tmp_path / "a.nc").read_bytes()[header + 5] & 0b100000


def test_extras_are_stored_in_groups_and_loaded_as_attributes(tmp_path: Path) -> None:
    events = SpikeTimesAssembly([0.1, 0.2], coords={"neuroid_id": ("event", ["A", "B"])}, dims=["event"])
    trials = xr.DataArray([[1, 2]], dims=["start", "stop"], name="anything", attrs={"unit": "s"})
    write_netcdf(events, tmp_path / "a.nc", extras={"trials": trials})
    loaded = AssemblyLoader(SpikeTimesAssembly, tmp_path / "a.nc").load()
    assert loaded.values.tolist() == [0.1, 0.2]
    assert loaded.attrs["trials"].values.tolist() == [[1, 2]]
    assert loaded.attrs["trials"].attrs == {"unit": "s"}
    assert AssemblyLoader(DataAssembly, tmp_path / "a.nc", group="trials").load().dims == ("start", "stop")


def test_an_assembly_with_extras_can_be_written_again(tmp_path: Path, assembly: NeuroidAssembly) -> None:
    write_netcdf(assembly, tmp_path / "a.nc", extras={"more": assembly})
    write_netcdf(load(tmp_path / "a.nc"), tmp_path / "b.nc")
    assert "more" not in load(tmp_path / "b.nc").attrs


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(["a", "ß", None], dtype=object), ["a", "ß", ""]),
        (np.array([True, False, True]), [True, False, True]),
        (np.array([1.5, np.nan, np.inf]), [1.5, np.nan, np.inf]),
        (np.array(["2026-01-05", "NaT", "2026-01-06"], dtype="M8[ns]"), None),
        (np.array([2**62, 0, -1]), [2**62, 0, -1]),
    ],
    ids=["text", "boolean", "float", "time", "integer"],
)
def test_coordinates_of_all_types_survive_a_round_trip(
    tmp_path: Path, values: np.ndarray, expected: list[object] | None
) -> None:
    array = DataAssembly([1, 2, 3], coords={"c": ("x", values), "d": ("x", [1, 2, 3])}, dims=["x"])
    write_netcdf(array, tmp_path / "a.nc")
    found = AssemblyLoader(DataAssembly, tmp_path / "a.nc").load()["c"].values
    np.testing.assert_array_equal(found, values if expected is None else np.array(expected))


@pytest.mark.parametrize("value", [{"a": 1}, [1, "x", []], [[1, 2], [3]], object(), b"\xff"])
def test_an_attribute_that_netcdf_cannot_represent_is_named(tmp_path: Path, value: object) -> None:
    array = DataAssembly([1], dims=["x"], attrs={"how": value})
    with pytest.raises(UsageError, match="The attribute 'how' is a"):
        write_netcdf(array, tmp_path / "a.nc")


def test_a_coordinate_that_netcdf_cannot_represent_is_refused(tmp_path: Path) -> None:
    array = DataAssembly([1, 2], coords={"c": ("x", np.array([{"a": 1}, 2], dtype=object))}, dims=["x"])
    with pytest.raises(UsageError, match="cannot be written as netCDF"):
        write_netcdf(array, tmp_path / "a.nc")


def test_a_file_that_cannot_be_written_raises_a_storage_error(tmp_path: Path, assembly: NeuroidAssembly) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_netcdf(assembly, tmp_path / "nowhere" / "a.nc")


@pytest.mark.parametrize("name", ["", "a/b", "a\n"])
def test_an_extra_with_an_invalid_group_name_is_refused(tmp_path: Path, assembly: NeuroidAssembly, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid name for an extra"):
        write_netcdf(assembly, tmp_path / "a.nc", extras={name: assembly})


@pytest.mark.parametrize(
    "spoil",
    [lambda _: b"", lambda data: data[:3000], lambda _: b"text", lambda data: data[:8]],
    ids=["empty", "cut", "text", "magic"],
)
def test_a_file_without_an_assembly_is_refused(
    tmp_path: Path, assembly: NeuroidAssembly, spoil: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.nc"
    write_netcdf(assembly, path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(IntegrityError, match="cannot be read as netCDF"):
        load(path)


def test_a_file_with_several_arrays_is_refused_unless_one_is_named_data(tmp_path: Path) -> None:
    table = xr.Dataset({"a": ("x", [1]), "b": ("x", [2])})
    table.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    with pytest.raises(IntegrityError, match="contains 2 arrays"):
        read_netcdf(tmp_path / "two.nc")
    table.rename(a="data").to_netcdf(tmp_path / "named.nc", engine="h5netcdf")
    assert read_netcdf(tmp_path / "named.nc").values.tolist() == [1]


def test_files_of_older_tools_are_read(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "old.nc", "w", format="NETCDF3_CLASSIC") as file:
        file.lab = "Århus"
        file.createDimension("presentation", 2)
        variable = file.createVariable("__xarray_dataarray_variable__", "f4", ("presentation",))
        variable[:], variable.coordinates = [1, 2], "image_id"
        file.createVariable("image_id", "i4", ("presentation",))[:] = [7, 8]
    loaded = AssemblyLoader(BehavioralAssembly, tmp_path / "old.nc").load()
    assert loaded.sel(image_id=8).item() == 2
    assert loaded.attrs == {"lab": "Århus"}


def test_dimensions_that_the_class_does_not_allow_are_refused(assembly: NeuroidAssembly) -> None:
    assembly.validate()
    with pytest.raises(UsageError, match="A NeuroidAssembly must have the dimensions neuroid, presentation or"):
        NeuroidAssembly([1], dims=["x"]).validate()
    with pytest.raises(UsageError, match="A SpikeTimesAssembly must have the dimensions event, not x"):
        SpikeTimesAssembly([1], dims=["x"]).validate()

"""Metadata is read from files of each kind; what is missing or broken is a warning about that file, no more."""

from __future__ import annotations

import json
import struct
import sys
import tomllib
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import h5py
import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from orbitpkg.datasets import extraction
from orbitpkg.datasets.extraction import GROUP, Extracted, extract, is_sidecar, isolation, sidecar_of
from orbitpkg.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

TOP = Path(__file__).resolve().parents[2]


def write_hdf5(path: Path, **attributes: object) -> Path:
    with h5py.File(path, "w") as file:
        file["frames"] = np.zeros((4, 3), dtype="u1")
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


def write_png(path: Path, width: int, height: int) -> Path:
    """Write a whole grey image, by the PNG specification's words."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def metadata_of(path: Path) -> Mapping[str, object]:
    """Extract from a file that there is nothing to complain of."""
    found = extract(path)
    assert found.warnings == ()
    json.dumps(found.metadata, allow_nan=False)
    return found.metadata


def warning_of(path: Path) -> str:
    """Extract from a file that there is one thing to complain of."""
    (warning,) = extract(path).warnings
    return warning


# What is read.


@pytest.mark.parametrize("name", ["run.h5", "run.hdf5", "RUN.HDF5", "Läufe 1.h5"])
def test_the_json_in_an_hdf5_files_metadata_and_its_ordinary_attributes_are_read(tmp_path: Path, name: str) -> None:
    text = json.dumps({"robot": "sawyer", "action_T": 15, "cameras": ["front", {"fov": 60.5}], "ok": True})
    path = write_hdf5(
        tmp_path / name, metadata=text, operator="Zoë 机器", rate=np.float32(2.5), robot="other", size=[1, 2]
    )
    assert metadata_of(path) == {
        "robot": "sawyer",
        "action_T": 15,
        "cameras": ["front", {"fov": 60.5}],
        "ok": True,
        "operator": "Zoë 机器",
        "rate": 2.5,
        "size": [1, 2],
    }


@pytest.mark.parametrize(
    "stored",
    [
        b'{"robot": "sawyer"}',
        np.bytes_(b'{"robot": "sawyer"}\0\0'),
        np.array(['{"robot": "sawyer"}'], dtype=h5py.string_dtype()),
        np.frombuffer(b'{"robot": "sawyer"}', dtype="u1"),
    ],
    ids=["bytes", "fixed", "array", "octets"],
)
def test_metadata_is_read_however_hdf5_holds_the_text(tmp_path: Path, stored: object) -> None:
    assert metadata_of(write_hdf5(tmp_path / "run.h5", metadata=stored)) == {"robot": "sawyer"}


def test_attributes_of_all_types_become_json(tmp_path: Path) -> None:
    path = write_hdf5(
        tmp_path / "run.h5",
        flag=np.True_,
        count=np.uint64(2**63),
        none=h5py.Empty("f4"),
        pair=np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        names=np.array(["a", "b"], dtype=h5py.string_dtype()),
    )
    expected = {"flag": True, "count": 2**63, "none": None, "pair": [[1, 2.5]], "names": ["a", "b"]}
    assert metadata_of(path) == expected


def test_five_megabytes_of_metadata_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    notes = "ü" * 2_500_000
    with h5py.File(path, "w", libver="latest") as file:  # older layouts hold 64 KiB in an attribute
        file.attrs["metadata"] = json.dumps({"notes": notes, "robot": "sawyer"}, ensure_ascii=False)
    assert metadata_of(path) == {"notes": notes, "robot": "sawyer"}


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_the_globals_of_a_netcdf_file_are_read(tmp_path: Path, kind: Literal["NETCDF4", "NETCDF3_CLASSIC"]) -> None:
    path = tmp_path / "climate.nc"
    with netCDF4.Dataset(path, "w", format=kind) as file:
        file.title = "Réanalyse"
        file.levels = np.array([1.0, 2.0])
        file.createDimension("time", 3)
        file.createVariable("t2m", "f4", ("time",))[:] = [1, 2, 3]
    assert metadata_of(path) == {
        "title": "Réanalyse",
        "levels": [1.0, 2.0],
        "dimensions": {"time": 3},
        "variables": ["t2m"],
    }


def test_the_header_of_a_safetensors_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.zeros((3, 4), "f4"), "b": np.zeros(4, "f4")}, path, metadata={"task": "digits", "ß": "ü"})
    assert metadata_of(path) == {"task": "digits", "ß": "ü", "tensors": 2, "parameters": 16}


def test_the_footer_of_a_parquet_file_is_read(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2, 3], "né": ["a", "b", "c"]}).replace_schema_metadata({"site": "Århus"})
    pq.write_table(table, tmp_path / "rows.parquet")
    expected = {"rows": 3, "columns": {"x": "int64", "né": "string"}, "site": "Århus"}
    assert metadata_of(tmp_path / "rows.parquet") == expected


def test_the_size_of_an_image_is_read(tmp_path: Path) -> None:
    assert metadata_of(write_png(tmp_path / "frame 1.png", 640, 480)) == {"width": 640, "height": 480}


def test_a_file_of_an_unknown_kind_has_no_metadata_and_no_warnings(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"\x89HDF")
    assert extract(tmp_path / "notes.txt") == Extracted()


# The sidecar.


def test_a_sidecar_counts_before_the_file(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "run.h5", robot="sawyer", rate=1)
    (tmp_path / "run.h5.json").write_text('{"robot": "baxter", "site": "Århus"}', encoding="utf-8")
    assert metadata_of(path) == {"robot": "baxter", "rate": 1, "site": "Århus"}


def test_of_two_sidecars_the_plainer_name_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    for name in ("sound.wav", "sound.wav.json", "sound.wav.meta.json"):
        (tmp_path / name).write_text(json.dumps({"from": name}), encoding="utf-8")
    assert metadata_of(path) == {"from": "sound.wav.meta.json"}
    assert sidecar_of(path) == tmp_path / "sound.wav.meta.json"
    assert [is_sidecar(tmp_path / name) for name in ("sound.wav", "sound.wav.json", "sound.wav.meta.json")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Ignored sound.wav.json, which is not valid JSON (line 1, column 2)."),
        ("[1]", "Ignored sound.wav.json, which is not a JSON object."),
        ("", "Ignored sound.wav.json, which is not valid JSON (line 1, column 1)."),
    ],
)
def test_a_broken_sidecar_is_a_warning(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "sound.wav").touch()
    (tmp_path / "sound.wav.json").write_text(text, encoding="utf-8")
    assert warning_of(tmp_path / "sound.wav").startswith(says)


# What is broken.


def test_an_hdf5_file_that_is_cut_short_is_a_warning_at_every_length(tmp_path: Path) -> None:
    whole = write_hdf5(tmp_path / "whole.h5", metadata='{"a": 1}').read_bytes()
    for length in range(0, len(whole), 97):
        path = tmp_path / "run.h5"
        path.write_bytes(whole[:length])
        found = extract(path)
        assert found.metadata == {}
        assert len(found.warnings) == 1
        assert found.warnings[0].startswith("Its metadata could not be read by ")


@pytest.mark.parametrize("name", ["run.h5", "rows.parquet", "model.safetensors", "frame.png", "climate.nc"])
@pytest.mark.parametrize("data", [b"", b"this is something else entirely", bytes(4096)], ids=["empty", "text", "zeros"])
def test_a_file_that_does_not_match_its_suffix_causes_a_warning(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    found = extract(tmp_path / name)
    assert found.metadata == {}
    assert len(found.warnings) == 1


@pytest.mark.parametrize("name", ["run.h5", "rows.parquet", "model.safetensors", "frame.png", "climate.nc"])
def test_a_missing_file_is_a_warning(tmp_path: Path, name: str) -> None:
    assert len(extract(tmp_path / name).warnings) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "The attribute 'metadata' is not valid JSON (line 1, column 1)."),
        ("[" * 100_000, "The attribute 'metadata' cannot be read as JSON: it is nested too deeply."),
        ("9" * 5000, "The attribute 'metadata' cannot be read as JSON: Exceeds the limit"),
    ],
    ids=["words", "deep", "digits"],
)
def test_metadata_that_is_not_json_costs_no_other_attribute(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["metadata"] = text
        file.attrs["rate"] = 3
    found = extract(path)
    assert found.metadata == {"rate": 3}
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(says)


def test_metadata_that_is_not_an_object_keeps_its_name(tmp_path: Path) -> None:
    assert metadata_of(write_hdf5(tmp_path / "run.h5", metadata="[1, 2]")) == {"metadata": [1, 2]}


def test_values_that_json_cannot_represent_become_null_with_a_warning(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "run.h5", metadata='{"a": [1, NaN, {"b": -Infinity}], "c": 1e999}', d=np.nan)
    found = extract(path)
    assert found.metadata == {"a": [1, None, {"b": None}], "c": None, "d": None}
    assert [warning.split(" contained ")[0] for warning in found.warnings] == [
        "The attribute: 'd'",
        "The attribute 'metadata': 'a'",
        "The attribute 'metadata': 'c'",
    ]


def test_too_deep_nesting_is_omitted_and_reported(tmp_path: Path) -> None:
    deep = '{"a": 1, "b": ' + "[" * 200 + "]" * 200 + "}"
    found = extract(write_hdf5(tmp_path / "run.h5", metadata=deep))
    assert found.metadata == {"a": 1}
    assert found.warnings == (
        "The attribute 'metadata': 'b' was omitted, because it is nested more than 100 levels deep.",
    )


def test_text_that_is_not_utf_8_is_repaired_and_reported(tmp_path: Path) -> None:
    found = extract(write_hdf5(tmp_path / "run.h5", site=np.bytes_(b"\xc5rhus"), metadata='{"x": "\\ud800"}'))
    assert set(found.metadata) == {"site", "x"}
    json.dumps(found.metadata, ensure_ascii=False).encode()
    assert len(found.warnings) == 2


def test_an_attribute_of_a_type_without_words_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file.attrs["there"] = file.ref
        file.attrs["rate"] = 3
    found = extract(path)
    assert found.metadata == {"rate": 3}
    assert found.warnings == ("The attribute: 'there' was omitted, because JSON cannot represent the type Reference.",)


def test_a_file_without_metadata_is_reported(tmp_path: Path) -> None:
    assert warning_of(write_hdf5(tmp_path / "run.h5")) == "It contains no metadata: its root has no attributes."


def test_a_safetensors_header_with_a_wrong_length_causes_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    (tmp_path / "b.safetensors").write_bytes((99).to_bytes(8, "little") + b"{}")
    assert "does not start with a valid header length" in warning_of(tmp_path / "a.safetensors")
    assert "is truncated: its header has 99 bytes" in warning_of(tmp_path / "b.safetensors")


# Extractors.


def test_every_extractor_of_the_project_is_registered_and_can_be_loaded() -> None:
    entries = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    functions = {EntryPoint(name, value, GROUP).load() for name, value in entries.items()}
    assert {function.__name__ for function in functions} == {
        "read_attributes",
        "read_footer",
        "read_globals",
        "read_header",
        "read_size",
    }


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of an installed package that reads ``.nii.gz`` and, better than orbitpkg, ``.png``."""
    (tmp_path / "site").mkdir()
    folder = tmp_path / "site" / "acme_scans-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scans\nVersion: 1.0\n")
    entries = "nii.gz = acme_scans:read\npng = acme_scans:read\ngz = acme_scans:fail"
    (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    extraction._registered.cache_clear()
    yield_to = tmp_path / "site" / "acme_scans.py"
    yield_to.write_text(
        "from orbitpkg.datasets.extraction import Extracted\n"
        "def read(path): return Extracted(metadata={'read': path.name})\n"
        "def fail(path): raise RuntimeError('no such luck.\\nmore')\n"
    )
    return yield_to


def test_extractors_of_others_are_used_for_the_longest_suffix_and_before_ours(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "acme_scans", raising=False)
    for name in ("a.nii.gz", "b.png", "c.gz"):
        (tmp_path / name).touch()
    try:
        assert metadata_of(tmp_path / "a.nii.gz") == {"read": "a.nii.gz"}
        assert metadata_of(tmp_path / "b.png") == {"read": "b.png"}
        assert warning_of(tmp_path / "c.gz") == (
            "Its metadata could not be read by acme_scans:fail: RuntimeError: no such luck."
        )
    finally:
        extraction._registered.cache_clear()


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    (tmp_path / "rows.parquet.json").write_text('{"robot": "sawyer"}', encoding="utf-8")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    found = extract(path)
    assert found.metadata == {"robot": "sawyer"}
    (warning,) = found.warnings
    assert warning.startswith("Its metadata was not read. Reading Parquet files needs pyarrow, which is not installed.")
    assert warning.endswith(" pip install 'orbitpkg[query]'")


# Processes of their own.


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of extractors of which some behave badly."""
    name = f"acme_readers_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "import os, sys\n"
        "from orbitpkg.datasets.extraction import Extracted\n"
        "from orbitpkg.errors import MissingExtra\n"
        "def good(path): print('noise'); return Extracted(metadata={'size': path.stat().st_size}, warnings=('hm.',))\n"
        "def dies(path): os.abort()\n"
        "def ends(path): os._exit(0)\n"
        "def fails(path): raise RuntimeError('no such luck.\\nmore')\n"
        "def lacks(path): raise MissingExtra('It needs h5py.', hint='pip install it')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    isolation._close_all()
    return name


@pytest.mark.parametrize("death", ["dies", "ends"])
def test_a_reader_that_takes_its_process_down_costs_no_other_file(tmp_path: Path, readers: str, death: str) -> None:
    path = tmp_path / "a \udcff\n.bin"
    path.write_bytes(b"123")
    expected = Extracted(metadata={"size": 3}, warnings=("hm.",))
    assert isolation.read_apart(f"{readers}:good", path) == expected
    with pytest.raises(isolation.ReaderCrashedError):
        isolation.read_apart(f"{readers}:{death}", path)
    assert isolation.read_apart(f"{readers}:good", path) == expected


def test_an_exception_of_a_reader_in_another_process_is_reported_here(tmp_path: Path, readers: str) -> None:
    with pytest.raises(isolation.ReaderFailedError, match=r"^RuntimeError: no such luck$"):
        isolation.read_apart(f"{readers}:fails", tmp_path)
    with pytest.raises(MissingExtra, match=r"^It needs h5py.\npip install it$"):
        isolation.read_apart(f"{readers}:lacks", tmp_path)


def test_many_threads_get_each_its_own_answer(tmp_path: Path, readers: str) -> None:
    paths = [tmp_path / f"{length}.bin" for length in range(40)]
    for length, path in enumerate(paths):
        path.write_bytes(bytes(length))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda path: isolation.read_apart(f"{readers}:good", path), paths))
    assert [each.metadata["size"] for each in found] == list(range(40))


def test_hdf5_files_with_some_bytes_altered_never_take_this_process_down(tmp_path: Path) -> None:
    whole = write_hdf5(tmp_path / "run.h5", metadata='{"a": 1}', names=["a", "b"], rate=1.5).read_bytes()
    warned = 0
    for seed in range(60):
        random = Random(seed)  # noqa: S311 - to be had again
        data = bytearray(whole)
        for _ in range(random.choice([1, 4, 20])):
            data[random.randrange(len(data))] = random.choice([0, 255, random.randrange(256)])
        (tmp_path / "run.h5").write_bytes(data)
        found = extract(tmp_path / "run.h5")
        json.dumps(found.metadata, allow_nan=False)
        warned += bool(found.warnings)
    assert 0 < warned < 60

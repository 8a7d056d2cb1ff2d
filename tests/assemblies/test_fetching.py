"""Files are returned only if they match their hash; catalogue entries are read, added and never changed."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3

from orbitpkg import assemblies
from orbitpkg.assemblies import (
    NeuroidAssembly,
    StimulusSet,
    fetch_file,
    get_assembly,
    get_stimulus_set,
    list_assemblies,
    list_stimulus_sets,
    package_data_assembly,
    package_stimulus_set,
)
from orbitpkg.assemblies.catalogues import ASSEMBLY, Row, append_rows, open_catalogue
from orbitpkg.assemblies.fetching import unzip, uri_of
from orbitpkg.errors import IntegrityError, MissingExtra, ObjectExists, ObjectNotFound, StorageError, UsageError
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"what was measured"
SHA1 = hashlib.sha1(DATA).hexdigest()  # noqa: S324 - catalogues contain SHA-1


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "a bucket"
    folder.mkdir()
    (folder / "data.bin").write_bytes(DATA)
    return folder


@pytest.fixture
def lookup(tmp_path: Path) -> Path:
    return tmp_path / "project" / "lookup.csv"


# Single files.


@pytest.mark.parametrize(
    "pin",
    [
        SHA1,
        SHA1.upper(),
        f"sha1:{SHA1}",
        hashlib.sha256(DATA).hexdigest(),
        blake3(DATA).hexdigest(),
        f"blake3:{blake3(DATA).hexdigest()}",
    ],
    ids=["sha1", "upper", "sha1:", "sha256", "blake3", "blake3:"],
)
def test_a_file_is_fetched_once_by_any_of_its_hashes(bucket: Path, pin: str) -> None:
    path = fetch_file("FILE", (bucket / "data.bin").as_uri(), pin)
    assert (path.name, path.read_bytes()) == ("data.bin", DATA)
    (bucket / "data.bin").unlink()
    assert fetch_file("file", (bucket / "data.bin").as_uri(), pin) == path


def test_a_file_with_a_different_hash_is_not_kept(bucket: Path, home: Path) -> None:
    with pytest.raises(IntegrityError, match=r"data.bin does not match sha1 0{40}: the object has sha1 ") as caught:
        fetch_file("FILE", (bucket / "data.bin").as_uri(), "0" * 40)
    assert caught.value.hint == "The object was replaced, or the hash belongs to another object."
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_damaged_cached_file_is_fetched_again(bucket: Path) -> None:
    path = fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1)
    path.write_bytes(b"x" * len(DATA))
    assert fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1).read_bytes() == DATA


def test_a_damaged_cached_file_is_removed_even_if_it_cannot_be_fetched(bucket: Path) -> None:
    path = fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1)
    path.write_bytes(b"x")
    (bucket / "data.bin").unlink()
    with pytest.raises(ObjectNotFound):
        fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1)
    assert not path.exists()


def test_a_home_that_cannot_be_written_raises_a_storage_error(bucket: Path, home: Path) -> None:
    home.write_bytes(b"")
    with pytest.raises(StorageError, match=r"Not a directory|File exists"):
        fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1)


def test_sixteen_concurrent_fetches_all_return_the_file(bucket: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda _: fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1), range(16)))
    assert {path.read_bytes() for path in paths} == {DATA}
    assert len(set(paths)) == 1


@pytest.mark.parametrize("pin", ["", "abc", "0" * 32, "g" * 40, "md5:" + "0" * 32, "sha1:" + "0" * 64, "0" * 65])
def test_an_invalid_hash_is_refused(bucket: Path, pin: str) -> None:
    with pytest.raises(UsageError, match="is not a supported hash"):
        fetch_file("FILE", (bucket / "data.bin").as_uri(), pin)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://brainio.dicarlo.s3.amazonaws.com/assy_a.nc", "s3://brainio.dicarlo/assy_a.nc"),
        ("https://b-1.s3.us-east-2.amazonaws.com/dir/a%20b.nc", "s3://b-1/dir/a b.nc"),
        ("https://b-1.s3-us-west-1.amazonaws.com/a.nc", "s3://b-1/a.nc"),
        ("https://s3.amazonaws.com/b-1/dir/a.nc", "s3://b-1/dir/a.nc"),
        ("https://s3-eu-west-1.amazonaws.com/b-1/a.nc", "s3://b-1/a.nc"),
        ("s3://b-1/a.nc", "s3://b-1/a.nc"),
    ],
)
def test_every_form_of_an_s3_address_is_parsed(location: str, expected: str) -> None:
    assert uri_of("S3", location) == expected


@pytest.mark.parametrize(
    ("kind", "location", "message"),
    [
        ("S3", "https://example.com/a.nc", "is not an S3 address"),
        ("S3", "https://bucket.s3.amazonaws.com/", "does not name an object"),
        ("S3", "https://b.s3.amazonaws.com/a?versionId=1", "is not an S3 address"),
        ("S3", "/a/path", "is not an S3 address"),
        ("FTP", "ftp://host/a", "Unknown location type 'FTP'"),
    ],
)
def test_an_invalid_location_is_refused(kind: str, location: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fetch_file(kind, location, SHA1)


# Catalogues.


def package_both(lookup: Path, bucket: Path, stimuli: StimulusSet, assembly: NeuroidAssembly) -> None:
    package_stimulus_set(lookup, stimuli, "lab.Faces", bucket.as_uri())
    package_data_assembly(lookup, assembly, "lab.Me2026", "lab.Faces", "NeuroidAssembly", bucket.as_uri())


def test_a_packaged_assembly_is_loaded_with_its_stimuli_merged(
    lookup: Path, bucket: Path, stimuli: StimulusSet, assembly: NeuroidAssembly
) -> None:
    package_both(lookup, bucket, stimuli, assembly)
    got = get_assembly("lab.Me2026", catalogue=lookup)
    assert type(got) is NeuroidAssembly
    assert got["kind"].values.tolist() == ["face", "house", "face"] * 2
    assert got.sel(kind="house", repetition=1).values.ravel().tolist() == [8, 9]
    assert got.attrs["identifier"] == "lab.Me2026"
    assert got.attrs["stimulus_set_identifier"] == "lab.Faces"
    assert got.attrs["lab"] == "Århus"
    table = got.attrs["stimulus_set"]
    assert isinstance(table, StimulusSet)
    assert table.get_stimulus("né").read_bytes() == stimuli.get_stimulus("né").read_bytes()
    assert table.get_stimulus("né").name == "né.PNG"
    assert list(table.columns) == ["stimulus_id", "kind", "size", "filename"]


def test_a_selection_of_a_stimulus_set_keeps_the_paths(lookup: Path, bucket: Path, stimuli: StimulusSet) -> None:
    package_stimulus_set(lookup, stimuli, "lab.Faces", bucket.as_uri())
    faces = get_stimulus_set("lab.Faces", catalogue=lookup).query("kind == 'face'")
    assert (len(faces), faces.identifier) == (2, "lab.Faces")
    assert faces.get_image("n0").is_file()


def test_a_coordinate_of_the_assembly_takes_precedence_over_a_column(
    lookup: Path, bucket: Path, stimuli: StimulusSet, assembly: NeuroidAssembly
) -> None:
    array = assembly.reset_index("presentation").assign_coords(kind=("presentation", list("uvwxyz")))
    package_both(lookup, bucket, stimuli, NeuroidAssembly(array))
    assert get_assembly("lab.Me2026", catalogue=lookup)["kind"].values.tolist() == list("uvwxyz")


def test_an_assembly_without_stimuli_can_be_packaged(lookup: Path, bucket: Path, assembly: NeuroidAssembly) -> None:
    package_data_assembly(lookup, assembly, "lab.Me2026", None, "NeuroidAssembly", bucket.as_uri(), {"more": assembly})
    got = get_assembly("lab.Me2026", catalogue=lookup)
    assert "stimulus_set" not in got.attrs
    assert got.attrs["more"].shape == (6, 2, 1)


def test_the_same_stimuli_give_the_same_bytes(tmp_path: Path, stimuli: StimulusSet) -> None:
    pins = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for path in stimuli.stimulus_paths.values():
            path.touch()
        stored = package_stimulus_set(tmp_path / f"{name}.csv", stimuli, "lab.Faces", (tmp_path / name).as_uri())
        pins.append([each.sha256 for each in stored])
    assert pins[0] == pins[1]


def test_a_duplicate_identifier_is_refused_before_any_upload(
    lookup: Path, bucket: Path, stimuli: StimulusSet, assembly: NeuroidAssembly
) -> None:
    package_both(lookup, bucket, stimuli, assembly)
    before = {path.name: path.read_bytes() for path in bucket.iterdir() if path.is_file()}, lookup.read_bytes()
    with pytest.raises(UsageError, match=r"lookup.csv already has an assembly 'lab.Me2026'"):
        package_data_assembly(lookup, assembly + 1, "lab.Me2026", "lab.Faces", "NeuroidAssembly", bucket.as_uri())
    with pytest.raises(UsageError, match=r"already has a stimulus set 'lab.Faces'"):
        package_stimulus_set(lookup, stimuli.head(1), "lab.Faces", bucket.as_uri())
    assert (
        {path.name: path.read_bytes() for path in bucket.iterdir() if path.is_file()},
        lookup.read_bytes(),
    ) == before


def test_an_object_that_another_catalogue_may_pin_is_not_overwritten(
    tmp_path: Path, lookup: Path, bucket: Path, assembly: NeuroidAssembly
) -> None:
    package_data_assembly(lookup, assembly, "lab.Me2026", None, "NeuroidAssembly", bucket.as_uri())
    other = tmp_path / "other.csv"
    with pytest.raises(ObjectExists, match="already exists with different content; nothing was uploaded"):
        package_data_assembly(other, assembly + 1, "lab.Me2026", None, "NeuroidAssembly", bucket.as_uri())
    assert not other.exists()
    # A run that was interrupted before it wrote the catalogue is resumed.
    package_data_assembly(other, assembly, "lab.Me2026", None, "NeuroidAssembly", bucket.as_uri())
    assert get_assembly("lab.Me2026", catalogue=other).equals(get_assembly("lab.Me2026", catalogue=lookup))


def test_invalid_input_is_refused_before_any_upload(
    lookup: Path, bucket: Path, assembly: NeuroidAssembly, stimuli: StimulusSet
) -> None:
    place = bucket.as_uri()
    with pytest.raises(UsageError, match=r"No stimulus set 'lab.None' found"):
        package_data_assembly(lookup, assembly, "lab.Me2026", "lab.None", "NeuroidAssembly", place)
    with pytest.raises(UsageError, match=r"Unknown assembly class 'NeuroidAssembley'") as caught:
        package_data_assembly(lookup, assembly, "lab.Me2026", None, "NeuroidAssembley", place)
    assert caught.value.hint == "Did you mean NeuroidAssembly?"
    with pytest.raises(UsageError, match="No bucket given"):
        package_data_assembly(lookup, assembly, "lab.Me2026", None, "NeuroidAssembly")
    with pytest.raises(UsageError, match="is not a valid identifier"):
        package_data_assembly(lookup, assembly, "lab/Me", None, "NeuroidAssembly", place)
    with pytest.raises(UsageError, match="Two stimuli have the same stimulus_id"):
        package_stimulus_set(lookup, stimuli.iloc[[0, 0]], "lab.Faces", place)
    with pytest.raises(UsageError, match="has no column stimulus_id"):
        package_stimulus_set(lookup, stimuli.drop(columns="stimulus_id"), "lab.Faces", place)
    stimuli.stimulus_paths = {"n0": bucket / "missing.png"}
    with pytest.raises(UsageError, match=r"The file .*missing.png of the stimulus 'n0' does not exist"):
        package_stimulus_set(lookup, stimuli, "lab.Faces", place)
    assert sorted(path.name for path in bucket.iterdir()) == ["data.bin"]
    assert not lookup.exists()


def test_an_archive_name_outside_the_archive_is_refused(lookup: Path, bucket: Path, stimuli: StimulusSet) -> None:
    named = stimuli.assign(stimulus_path_within_store=["a", "b", "../c"])
    with pytest.raises(UsageError, match="is not a valid name for a stimulus"):
        package_stimulus_set(lookup, named, "lab.Faces", bucket.as_uri())


def test_an_archive_with_a_path_outside_its_directory_is_not_extracted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../out.txt", b"x")
    with pytest.raises(IntegrityError, match="contains a path outside its directory"):
        unzip(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(IntegrityError, match="is damaged or not a ZIP file"):
        unzip(tmp_path / "b.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip"]


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "a/../../secret.png", "."])
def test_a_table_of_stimuli_cannot_name_files_outside_its_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "set.csv").write_text(f"stimulus_id,filename\n1,{name}\n")
    with pytest.raises(IntegrityError, match="The path"):
        StimulusSet.from_files(tmp_path / "a" / "set.csv", tmp_path / "a" / "b")


def test_modified_stimuli_are_extracted_again(lookup: Path, bucket: Path, stimuli: StimulusSet) -> None:
    package_stimulus_set(lookup, stimuli, "lab.Faces", bucket.as_uri())
    first = get_stimulus_set("lab.Faces", catalogue=lookup)
    first.get_stimulus("n0").write_bytes(b"")
    first.get_stimulus("n1").unlink()
    again = get_stimulus_set("lab.Faces", catalogue=lookup)
    for key in ("n0", "n1", "né"):
        assert again.get_stimulus(key).read_bytes() == stimuli.get_stimulus(key).read_bytes()
    assert sorted(path.name for path in again.get_stimulus("n0").parent.parent.iterdir()) == [
        "files",
        "stimulus_lab_Faces.zip",
    ]


def test_a_stimulus_set_with_image_ids_is_packaged_and_merged(
    lookup: Path, bucket: Path, stimuli: StimulusSet, assembly: NeuroidAssembly
) -> None:
    older = StimulusSet(stimuli.rename(columns={"stimulus_id": "image_id"}))
    older.image_paths = stimuli.stimulus_paths
    images = NeuroidAssembly(assembly.reset_index("presentation").rename(stimulus_id="image_id"))
    package_both(lookup, bucket, older, images)
    got = get_assembly("lab.Me2026", catalogue=lookup)
    assert got.sel(image_id="né", repetition=0)["kind"].item() == "face"
    assert got.attrs["stimulus_set"].get_image("n0").is_file()


def test_a_stimulus_set_is_read_from_local_files(tmp_path: Path, stimuli: StimulusSet) -> None:
    folder = next(iter(stimuli.stimulus_paths.values())).parent
    table = stimuli.assign(filename=[path.name for path in stimuli.stimulus_paths.values()])
    table.to_csv(tmp_path / "faces.csv", index=False)
    read = StimulusSet.from_files(tmp_path / "faces.csv", folder)
    assert (read.identifier, read.get_stimulus("né").name) == ("faces", "c.PNG")
    (folder / "c.PNG").unlink()
    with pytest.raises(IntegrityError, match=r"faces lacks 1 of 3 stimuli, such as c.PNG"):
        StimulusSet.from_files(tmp_path / "faces.csv", folder)


HEADER = "identifier,lookup_type,class,location_type,location,sha1,stimulus_set_identifier,lookup_source\n"


def test_adding_to_a_brainio_catalogue_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "lookup.csv"
    line = f'dicarlo.hvm,stimulus_set,StimulusSet,S3,https://b.s3.amazonaws.com/"a, b".csv,{SHA1},,old\n'
    line = line.replace('"a, b"', "image")
    path.write_text(HEADER + line, encoding="utf-8")
    row = Row(
        identifier="lab.Ü", lookup_type=ASSEMBLY, cls="X", location_type="S3", location="s3://b/a.nc", sha1=SHA1,
        version_id="v1",
    )  # fmt: skip
    append_rows(open_catalogue(path), [row])
    with path.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["identifier"], first["lookup_source"], first["version_id"]) == ("dicarlo.hvm", "old", "")
    assert (second["identifier"], second["version_id"], second["class"]) == ("lab.Ü", "v1", "X")
    assert open_catalogue(path).rows[1] == row


@pytest.mark.parametrize("folder", ["assemblies", "assemblies/locks"])
def test_no_lock_is_written_to_a_folder_that_another_user_replaced_by_a_link(
    home: Path, tmp_path: Path, folder: str
) -> None:
    if os.geteuid() != 0:
        skip_or_fail(ServerMissing("a link of another user takes root: run the tests as root"))
    own, planted = tmp_path / "own", home / folder
    own.mkdir()
    home.mkdir()
    home.chmod(0o2775)
    planted.parent.mkdir(exist_ok=True)
    planted.symlink_to(own)
    os.lchown(planted, 61_001, 61_001)
    row = Row(identifier="lab.a", lookup_type=ASSEMBLY, cls="X", location_type="S3", location="s3://b/a.nc", sha1=SHA1)
    with pytest.raises(StorageError, match="another user"):
        append_rows(open_catalogue(tmp_path / "lookup.csv"), [row])
    assert os.listdir(own) == []


def test_eight_concurrent_additions_to_a_catalogue_all_survive(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from orbitpkg.assemblies.catalogues import *\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "for number in range(5):\n"
        "    row = Row(identifier=f'{sys.argv[2]}.{number}', lookup_type=ASSEMBLY, cls='X', location_type='S3',\n"
        "              location='s3://b/a.nc', sha1='0' * 40)\n"
        "    append_rows(open_catalogue(path), [row])\n"
    )
    path = tmp_path / "lookup.csv"
    jobs = [subprocess.Popen([sys.executable, "-c", program, str(path), str(job)]) for job in range(8)]
    assert [job.wait() for job in jobs] == [0] * 8
    assert len({row.identifier for row in open_catalogue(path).rows}) == 40
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["lookup.csv"]


def make_project(site: Path, name: str, entry: str, *, lines: str, brainio: bool) -> None:
    """Install a package that provides a catalogue, as BrainIO's README describes."""
    package = site / name
    package.mkdir(parents=True)
    (package / "lookup.csv").write_text(HEADER + lines, encoding="utf-8")
    (package / "__init__.py").touch()
    make = (
        f"from brainio.catalogs import Catalog\ndef {entry}():\n    return Catalog.from_file({entry!r}, 'lookup.csv')\n"
        if brainio
        else "import pandas\nfrom pathlib import Path\n"
        f"def {entry}():\n    return pandas.read_csv(Path(__file__).parent / 'lookup.csv')\n"
    )
    (package / "entrypoint.py").write_text(make, encoding="utf-8")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[brainio_lookups]\n{entry} = {name}.entrypoint:{entry}\n")


@pytest.mark.parametrize("brainio", [True, False], ids=["without brainio", "with its own table"])
def test_catalogues_of_installed_packages_are_read(
    tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch, *, brainio: bool
) -> None:
    name = f"acme_lookups_{'a' if brainio else 'b'}"
    rows = f"lab.Me2026,assembly,DataAssembly,FILE,{(bucket / 'data.bin').as_uri()},{SHA1},,\n" * 2
    rows += f"lab.Faces,stimulus_set,StimulusSet,S3,https://b.s3.amazonaws.com/image.csv,{SHA1},,\n"
    make_project(tmp_path / "site", name, "acme", lines=rows, brainio=brainio)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert list_assemblies() == ["lab.Me2026"]
    assert list_stimulus_sets() == ["lab.Faces"]
    with pytest.raises(IntegrityError, match=r"has no \.nc file for lab.Me2026"):
        get_assembly("lab.Me2026")
    with pytest.raises(UsageError, match=r"No assembly 'lab.Me2027' found in the catalogue acme") as caught:
        get_assembly("lab.Me2027", catalogue="acme")
    assert caught.value.hint == "Did you mean lab.Me2026?"
    with pytest.raises(UsageError, match="No catalogue 'acmee' is installed"):
        get_assembly("lab.Me2026", catalogue="acmee")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identifier,sha1\n", "has no columns lookup_type, class"),
        (f"{HEADER}a,picture,,S3,s3://b/a.nc,{SHA1},,\n", "line 2: 'picture' is not a lookup type"),
        (f"{HEADER},assembly,X,S3,s3://b/a.nc,{SHA1},,\n", "line 2: 'assembly' is not a lookup type"),
        (
            f"{HEADER}a,assembly,X,S3,s3://b/a.nc,{SHA1},,\na,assembly,X,S3,s3://b/b.nc,{SHA1},,\n",
            "conflicting entries",
        ),
    ],
)
def test_an_invalid_catalogue_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lookup.csv").write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match=message):
        get_assembly("a", catalogue=tmp_path / "lookup.csv")


def test_a_catalogue_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lookup.csv").write_bytes(HEADER.encode() + b"\xff\xfe")
    with pytest.raises(IntegrityError, match="cannot be read"):
        get_assembly("a", catalogue=tmp_path / "lookup.csv")


# Without the extra.


def test_the_package_can_be_imported_without_its_extra_and_names_what_is_missing(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import sys, orbitpkg.assemblies; sys.exit(bool({'xarray', 'numpy', 'pandas', 'h5py'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    monkeypatch.delitem(vars(assemblies), "get_assembly", raising=False)
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtra, match="get_assembly needs xarray, which is not installed") as caught:
        _ = assemblies.get_assembly
    assert caught.value.hint == "To install it: pip install 'orbitpkg[netcdf]'"
    assert fetch_file("FILE", (bucket / "data.bin").as_uri(), SHA1).read_bytes() == DATA

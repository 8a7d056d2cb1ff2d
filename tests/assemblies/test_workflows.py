"""The workflows of the BrainIO and Brain-Score documentation, run with orbitpkg on real object stores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from orbitpkg.assemblies import (
    AssemblyLoader,
    NeuroidAssembly,
    StimulusSet,
    fetch_file,
    get_assembly,
    get_stimulus_set,
    load_assembly_from_s3,
    load_from_s3,
    load_stimulus_set_from_s3,
    package_data_assembly,
    package_stimulus_set,
    upload_data_assembly,
)
from orbitpkg.errors import AccessDenied, CredentialsError, IntegrityError, ObjectNotFound

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.processes import S3Server


@pytest.fixture(params=["moto", "ceph"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Start an S3 server, and set the environment to its endpoint and credentials."""
    found: S3Server = request.getfixturevalue(request.param)
    for name, value in found.env().items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def versioned(server: S3Server) -> str:
    """Return a bucket with versioning."""
    bucket = server.new_bucket()
    server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def test_brainio_a_stimulus_set_and_an_assembly_are_packaged_and_loaded(
    server: S3Server, tmp_path: Path, stimuli: StimulusSet, assembly: NeuroidAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, lookup = server.new_bucket(), tmp_path / "lookup.csv"
    package_stimulus_set(lookup, stimuli, "lab.Faces", bucket_name=bucket)
    package_data_assembly(lookup, assembly, "lab.Me2026.public", "lab.Faces", "NeuroidAssembly", bucket_name=bucket)
    assert f"https://{bucket}.s3.amazonaws.com/assy_lab_Me2026_public.nc" in lookup.read_text()

    # On another machine with the same catalogue.
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "another"))
    hvm = get_stimulus_set("lab.Faces", catalogue=lookup)
    assert hvm["kind"].tolist() == ["face", "house", "face"]
    assert hvm.get_image("n1").read_bytes() == stimuli.get_stimulus("n1").read_bytes()
    got = get_assembly("lab.Me2026.public", catalogue=lookup)
    np.testing.assert_array_equal(got.values, assembly.values)
    assert got.sel(kind="house").shape == (2, 2, 1)
    assert got.attrs["stimulus_set_identifier"] == "lab.Faces"


def test_brain_score_two_pinned_versions_coexist_and_survive_later_changes(
    server: S3Server, versioned: str, assembly: NeuroidAssembly
) -> None:
    first = upload_data_assembly(assembly, "Me2026.language", versioned)
    second = upload_data_assembly(assembly + 1, "Me2026.language", bucket_name=versioned)
    assert first.version_id
    assert first["VersionId"] == first.version_id != second.version_id
    # Overwrite the object again, then delete it.
    upload_data_assembly(assembly + 2, "Me2026.language", versioned)
    server.client().delete_object(Bucket=versioned, Key="assy_Me2026_language.nc")

    for stored, expected in ((first, assembly), (second, assembly + 1)):
        got = load_from_s3("Me2026.language", stored.version_id, stored.sha1, bucket=versioned)
        assert type(got) is NeuroidAssembly
        np.testing.assert_array_equal(got.values, expected.values)
        assert got.attrs["identifier"] == "Me2026.language"
    for pin in (first.sha256, first.blake3):
        location = f"https://{versioned}.s3.amazonaws.com/assy_Me2026_language.nc"
        path = fetch_file(location_type="S3", location=location, sha1=pin, version_id=first.version_id)
        np.testing.assert_array_equal(AssemblyLoader(cls=NeuroidAssembly, file_path=path).load(), assembly)
    with pytest.raises(ObjectNotFound):
        load_from_s3("Me2026.language", None, "0" * 40, bucket=versioned)
    with pytest.raises(IntegrityError, match=rf"\(version {second.version_id}\) does not match sha1"):
        fetch_file("S3", first.uri, first.sha1[::-1], second.version_id)


def test_brain_score_vision_loads_versions_of_a_stimulus_set_and_merges_it(
    server: S3Server, versioned: str, tmp_path: Path, stimuli: StimulusSet, assembly: NeuroidAssembly
) -> None:
    table, archive = package_stimulus_set(tmp_path / "lookup.csv", stimuli, "lab.Faces", versioned)
    stored = package_data_assembly(
        tmp_path / "lookup.csv", assembly, "lab.Me2026", "lab.Faces", "NeuroidAssembly", versioned
    )
    for key in ("stimulus_lab_Faces.csv", "stimulus_lab_Faces.zip", "assy_lab_Me2026.nc"):
        server.client().put_object(Bucket=versioned, Key=key, Body=b"something else")

    def load_stimuli() -> StimulusSet:
        pins = table.sha1, archive.sha1, table.version_id, archive.version_id
        return load_stimulus_set_from_s3("lab.Faces", versioned, *pins, filename_prefix="stimulus_")

    got = load_assembly_from_s3(
        "lab.Me2026", stored.version_id, stored.sha1, versioned, NeuroidAssembly, stimulus_set_loader=load_stimuli
    )
    assert got.sel(kind="face", repetition=0).shape == (2, 2, 1)
    # The catalogue also records the versions.
    assert get_assembly("lab.Me2026", catalogue=tmp_path / "lookup.csv").equals(got)


def test_public_objects_need_no_credentials_and_private_objects_raise_a_single_error(
    ceph: S3Server, assembly: NeuroidAssembly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ceph.env().items():
        monkeypatch.setenv(name, value)
    public, private = ceph.new_bucket(), ceph.new_bucket()
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{public}/*"}
    ceph.client().put_bucket_policy(
        Bucket=public, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    stored = upload_data_assembly(assembly, "lab.Me2026", public)
    upload_data_assembly(assembly + 1, "lab.Me2026", private)

    # With invalid keys, and without keys.
    for environment in ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN", "AWS_SECRET_ACCESS_KEY": "wrong"}, {}):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AccessDenied, match=rf"s3://{private}/assy_lab_Me2026.nc is private or does not exist"):
            load_from_s3("lab.Me2026", None, "0" * 40, bucket=private)
        np.testing.assert_array_equal(load_from_s3("lab.Me2026", None, stored.sha1, bucket=public), assembly)
        monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "another"))
    with pytest.raises((AccessDenied, CredentialsError)):
        upload_data_assembly(assembly, "lab.Me2027", public)

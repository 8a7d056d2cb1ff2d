"""A program that uses what orbitpkg offers as it is meant to be used."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import orbitpkg
from orbitpkg import remote


def use(name: str) -> bytes:
    """Use an installed package, and install and publish others."""
    package = orbitpkg.package(name, app="my-app==2.1.0")
    path: Path = package.file_path("model", "weights.bin")
    with package.open("labels.txt") as labels, package.open("weights.bin", mode="rb") as weights:
        lines: list[str] = labels.read().splitlines()
        data: bytes = weights.read()
    metrics = package.metadata.get("metrics")
    accuracy = metrics["accuracy"] if isinstance(metrics, dict) else None
    report = package.load_json("report.json")
    rows = [row for row in report if isinstance(row, str)] if isinstance(report, list) else []
    new: orbitpkg.Package = orbitpkg.install(f"{name}>=1.2,<2", repository="s3://bucket/models", only=["model/*"])
    published: orbitpkg.Published = orbitpkg.publish(Path("digits"))
    removed: list[orbitpkg.Removed] = orbitpkg.remove(f"{name}==1.0.0", dry_run=True)
    locked: orbitpkg.Package = orbitpkg.project().package(name)
    freed: int = sum(each.freed for each in removed)
    print(path, lines, accuracy, rows, new.version, published, freed, locked.digest, package.contents.total_size)
    return data


def use_dataset(dataset_id: str) -> int:
    """Select data of a dataset."""
    selection = orbitpkg.dataset(dataset_id).where("count >= 2")
    count, size = selection.count(), selection.total_size()
    names: list[str] = [str(row["name"]) for row in selection.rows(columns=["name"])]
    for datum in selection.data():
        print(datum.name, datum.size)
    print(names, count, size)
    return size


def use_bucket(uri: str) -> str:
    """Read and write objects of a bucket."""
    with remote.open(uri) as file:
        text: str = file.read()
    with remote.open(uri, "wb") as binary:
        binary.write(text.encode())
    with remote.write(uri, metadata={"kind": "table"}) as draft:
        draft.write_text(text)
    found: remote.Stat = remote.stat(uri)
    copied: Path = remote.local_path(uri, max_age=timedelta(days=1))
    print(found.size, copied, remote.exists(uri), [each.upper() for each in remote.list(uri)])
    return text


def report(error: orbitpkg.OrbitError) -> str:
    """Report an error."""
    return f"{error.code}: {error.message} {error.hint or ''}"

"""The JSON output of each command: one envelope on stdout, for success and for failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from tests.cli.machine import Machine, write_package

if TYPE_CHECKING:
    from collections.abc import Mapping


def success(command: str | None, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"orbitpkg": 1, "command": command, "ok": True, "data": data}


def failure(command: str | None, code: str, message: str, hint: str | None, **data: object) -> dict[str, Any]:
    error = {"code": code, "message": message, "hint": hint, "data": data}
    return {"orbitpkg": 1, "command": command, "ok": False, "error": error}


def files_of(machine: Machine) -> str:
    return str(machine.home / "store" / "v1" / "packages" / "tiny" / "1.0.0" / "files")


def total_bytes(machine: Machine) -> int:
    return sum(file.stat().st_size for file in (machine.folder / "tiny").rglob("*") if file.is_file())


def release(machine: Machine) -> dict[str, Any]:
    record, digest = machine.record("tiny", "1.0.0")
    return {
        "name": "tiny",
        "version": "1.0.0",
        "description": "Two small files",
        "license": "MIT",
        "compatibility": {},
        "dependencies": {},
        "keywords": [],
        "metadata": {"task": "testing"},
        "files": 3,
        "bytes": total_bytes(machine),
        "archive_bytes": record["archive"]["size"],
        "published": record["published"],
        "digest": digest,
    }


def installed(machine: Machine) -> dict[str, Any]:
    return {
        "name": "tiny",
        "version": "1.0.0",
        "description": "Two small files",
        "complete": True,
        "files": 3,
        "bytes": total_bytes(machine),
        "path": files_of(machine),
        "origin": machine.repository,
        "digest": machine.record("tiny", "1.0.0")[1],
    }


def test_init(machine: Machine) -> None:
    done = machine.run("init", "my-model", "--json")
    assert done.envelope == success("init", {"path": str(machine.folder / "my-model" / "package.json")})
    assert (done.code, done.err) == (0, "")


def test_validate(furnished: Machine) -> None:
    expected = {"name": "tiny", "version": "1.0.0", "files": 3, "bytes": total_bytes(furnished), "executable": {}}
    assert furnished.run("validate", "--json", "tiny").envelope == success("validate", expected)


def test_validate_locates_every_problem(machine: Machine) -> None:
    folder = machine.folder / "bad"
    folder.mkdir()
    (folder / "package.json").write_text('{\n  "name": "a b",\n  "version": "1.0",\n  "include": ["*"]\n}\n')
    done = machine.run("validate", "bad", "--json")
    error = done.envelope["error"]
    assert (done.code, done.err, error["code"]) == (1, "", "manifest")
    places = [(problem["pointer"], problem["line"]) for problem in error["data"]["problems"]]
    assert places == [("/name", 2), ("/version", 3)]


def test_build(furnished: Machine) -> None:
    done = furnished.run("build", "tiny", "--json")
    archive = furnished.folder / "tiny-1.0.0.tar.zst"
    assert done.envelope == success("build", {"path": str(archive), "bytes": archive.stat().st_size})


def test_publish(furnished: Machine) -> None:
    more = {
        "outcome": "already",
        "copied_bytes": 0,
        "uploaded_bytes": 0,
        "repository": furnished.repository,
        "install": f"orbitpkg install tiny==1.0.0 --repository {furnished.repository}",
    }
    done = furnished.run("publish", "tiny", "--json")
    assert done.envelope == success("publish", {**release(furnished), **more})
    assert (done.code, done.err) == (0, "")


def test_publish_of_a_new_version(furnished: Machine) -> None:
    write_package(furnished.folder / "tiny", version="1.1.0")
    data = furnished.run("publish", "tiny", "--json").envelope["data"]
    assert (data["outcome"], data["version"]) == ("published", "1.1.0")
    assert 0 < data["uploaded_bytes"] <= data["archive_bytes"]


def test_install(furnished: Machine) -> None:
    expected: dict[str, Any] = {
        "packages": [installed(furnished)],
        "dependencies": [],
        "new": [],
        "warnings": [],
        "unchecked": {},
    }
    assert furnished.run("install", "tiny", "--json").envelope == success("install", expected)
    furnished.succeed("remove", "tiny")
    expected["new"] = ["tiny==1.0.0"]
    assert furnished.run("install", "tiny", "--json").envelope == success("install", expected)


def test_install_dry_run(furnished: Machine) -> None:
    furnished.succeed("remove", "tiny")
    done = furnished.run("install", "tiny", "--dry-run", "--json")
    [plan] = done.envelope["data"]["plan"]
    assert 0 < plan.pop("bytes_to_fetch") < 1000
    assert plan == {
        "name": "tiny",
        "version": "1.0.0",
        "files": 3,
        "bytes": total_bytes(furnished),
        "bytes_reused": 0,
        "requests": 1,
    }


def test_list(furnished: Machine) -> None:
    expected = {"home": str(furnished.home), "packages": [installed(furnished)]}
    assert furnished.run("list", "--json").envelope == success("list", expected)
    assert furnished.run("--json", "list").envelope == success("list", expected)


def test_path(furnished: Machine) -> None:
    expected = {"name": "tiny", "version": "1.0.0", "path": f"{files_of(furnished)}/model.bin"}
    assert furnished.run("path", "tiny", "model.bin", "--json").envelope == success("path", expected)


def test_files(furnished: Machine) -> None:
    files = [
        {"path": path, "bytes": len(data), "executable": False, "blake3": blake3(data).hexdigest()}
        for path in ("data/words.txt", "model.bin", "package.json")
        for data in [(furnished.folder / "tiny" / path).read_bytes()]
    ]
    expected = {"name": "tiny", "version": "1.0.0", "path": files_of(furnished), "complete": True, "files": files}
    assert furnished.run("files", "tiny", "--json").envelope == success("files", expected)


def test_show(furnished: Machine) -> None:
    place = {"installed": True, "complete": True, "path": files_of(furnished), "origin": furnished.repository}
    place |= {"executable": {}}
    assert furnished.run("show", "tiny", "--json").envelope == success("show", {**release(furnished), **place})
    place |= {"installed": False, "complete": False, "path": None}
    done = furnished.run("show", "tiny", "--json", "--repository", furnished.repository)
    assert done.envelope == success("show", {**release(furnished), **place})


def test_versions(furnished: Machine) -> None:
    expected = {"name": "tiny", "versions": ["1.0.0"], "repository": furnished.repository}
    assert furnished.run("versions", "tiny", "--json").envelope == success("versions", expected)


def test_search(furnished: Machine) -> None:
    packages = [{"name": "tiny", "newest": "1.0.0", "description": "Two small files"}]
    expected = {"text": "small", "repository": furnished.repository, "packages": packages}
    assert furnished.run("search", "small", "--json").envelope == success("search", expected)


def test_remove(furnished: Machine) -> None:
    removed = [{"name": "tiny", "version": "1.0.0", "freed_bytes": total_bytes(furnished)}]
    done = furnished.run("remove", "tiny", "--json")
    assert done.envelope == success("remove", {"dry_run": False, "removed": removed})


UNTOUCHED: dict[str, Any] = {"left": [], "fetched_bytes": 0, "aside": None, "failure": None}


def test_verify(furnished: Machine) -> None:
    package = {"name": "tiny", "version": "1.0.0", "good": True, "findings": [], **UNTOUCHED}
    assert furnished.run("verify", "--json").envelope == success("verify", {"packages": [package]})


def test_verify_of_a_damaged_package(furnished: Machine) -> None:
    (furnished.home / "store" / "v1" / "packages" / "tiny" / "1.0.0" / "files" / "model.bin").unlink()
    package = {
        "name": "tiny",
        "version": "1.0.0",
        "good": False,
        "findings": [{"path": "model.bin", "flaw": "missing"}],
        **UNTOUCHED,
        "left": [{"path": "model.bin", "flaw": "missing"}],
    }
    done = furnished.run("verify", "--json")
    assert (done.code, done.err) == (16, "")
    assert done.envelope == failure(
        "verify",
        "integrity",
        "1 file of tiny 1.0.0 differs from the published release.",
        "To repair: orbitpkg verify --repair tiny==1.0.0",
        packages=[package],
    )


def test_verify_with_repair(furnished: Machine) -> None:
    (furnished.home / "store" / "v1" / "packages" / "tiny" / "1.0.0" / "files" / "model.bin").unlink()
    package = {
        "name": "tiny",
        "version": "1.0.0",
        "good": True,
        "findings": [{"path": "model.bin", "flaw": "missing"}],
        **UNTOUCHED,
    }
    done = furnished.run("verify", "--json", "--repair")
    (row,) = done.envelope["data"]["packages"]
    assert (done.code, done.err, row.pop("fetched_bytes") > 0) == (0, "", True)
    package.pop("fetched_bytes")
    assert row == package


def test_doctor(furnished: Machine) -> None:
    data = furnished.run("doctor", "--json").envelope["data"]
    assert (data["repository"], data["readable"], data["publishable"]) == (furnished.repository, True, True)
    assert {check["check"]: check["works"] for check in data["checks"]} == dict.fromkeys(
        ["readable", "listing", "writable", "ranged reads", "create-only writes", "part copies", "deletable"], True
    )


def test_repo_init(machine: Machine) -> None:
    expected = {"repository": (machine.folder / "shared").as_uri(), "made": True, "create_only": True}
    assert machine.run("repo", "init", "./shared", "--json").envelope == success("repo init", expected)


def test_version(machine: Machine) -> None:
    from orbitpkg import __version__

    assert machine.run("--version", "--json").envelope == success(None, {"version": __version__})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, machine: Machine) -> None:
    data = machine.run("completion", shell, "--json").envelope["data"]
    assert data["shell"] == shell
    assert machine.run("completion", shell).out.rstrip("\n") == data["script"].rstrip("\n")


def test_a_failure_contains_the_code_hint_and_data_of_the_error(furnished: Machine) -> None:
    done = furnished.run("path", "tinny", "--json")
    assert (done.code, done.err) == (1, "")
    assert done.envelope == failure(
        "path",
        "not-installed",
        f"tinny is not installed in {furnished.home}.",
        "Did you mean tiny? If not: orbitpkg install tinny",
        name="tinny",
        installed=[],
    )


@pytest.mark.parametrize(
    ("words", "command", "message", "hint"),
    [
        ((), None, "Missing command.", "To list the commands: orbitpkg --help"),
        (("instal",), None, "Unknown command 'instal'.", "Did you mean orbitpkg install?"),
        (("repo",), "repo", "Missing command.", "For usage: orbitpkg repo --help"),
        (("path",), "path", "Missing argument 'REQ'.", "For usage: orbitpkg path --help"),
    ],
)
def test_wrong_usage_has_an_envelope_too(
    words: tuple[str, ...], command: str | None, message: str, hint: str, machine: Machine
) -> None:
    done = machine.run(*words, "--json")
    assert (done.code, done.err) == (2, "")
    assert done.envelope == failure(command, "usage", message, hint)


def test_json_applies_to_errors_in_earlier_arguments(machine: Machine) -> None:
    done = machine.run("list", "--nope", "--json")
    assert (done.code, done.envelope["error"]["code"]) == (2, "usage")


def test_json_after_two_dashes_is_an_argument(machine: Machine) -> None:
    done = machine.run("path", "--", "--json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")

"""The exact text output of each command. Data goes to stdout, notes and hints to stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine, Result, write_package

if TYPE_CHECKING:
    from pathlib import Path

BUCKET_HINT = (
    "hint: This is the default repository, a directory on this machine. "
    "To publish to a bucket, pass --repository s3://BUCKET/PREFIX or set ORBITPKG_REPOSITORY.\n"
)


def archive_bytes(machine: Machine) -> int:
    record, _ = machine.record("tiny", "1.0.0")
    size: int = record["archive"]["size"]
    assert size < 1000, "sizes below 1 kB are printed in full"
    return size


def test_init_reports_the_file_and_the_next_step(machine: Machine) -> None:
    assert machine.run("init", "my-model") == Result(
        0,
        "Created my-model/package.json\n",
        "hint: To check the package: orbitpkg validate my-model\n",
    )


def test_init_does_not_overwrite_a_manifest(furnished: Machine) -> None:
    before = (furnished.folder / "tiny" / "package.json").read_bytes()
    assert furnished.run("init", "tiny") == Result(
        2, "", "error: tiny/package.json already exists.\nhint: To check it: orbitpkg validate tiny\n"
    )
    assert (furnished.folder / "tiny" / "package.json").read_bytes() == before


def test_validate_summarizes_the_package(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    done = machine.run("validate", "tiny")
    assert done == Result(0, "tiny is a valid package: tiny 1.0.0, 3 files, 1.1 kB\n", "")


def test_validate_locates_every_problem(machine: Machine) -> None:
    folder = machine.folder / "bad"
    folder.mkdir()
    (folder / "package.json").write_text('{\n  "name": "a b",\n  "version": "1.0",\n  "include": ["*"]\n}\n')
    done = machine.run("validate", "bad")
    assert (done.code, done.out) == (1, "")
    first, *problems = done.err.splitlines()
    assert first == "error: bad/package.json: 2 problems"
    assert [problem.split(":")[0].strip() for problem in problems] == ["line 2, /name", "line 3, /version"]
    assert '"1.0.0"' in problems[1]


def test_build_prints_the_archives_path_and_nothing_else(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    assert machine.run("build", "tiny", "-o", "the archives") == Result(0, "the archives/tiny-1.0.0.tar.zst\n", "")
    assert (machine.folder / "the archives" / "tiny-1.0.0.tar.zst").is_file()


def test_publish_reports_the_repository_and_the_install_command(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    done = machine.run("publish", "tiny")
    assert done == Result(
        0,
        f"Published tiny 1.0.0\n"
        f"  to {machine.repository}\n"
        f"  3 files, 1.1 kB; {archive_bytes(machine)} bytes uploaded\n"
        f"  orbitpkg install tiny==1.0.0 --repository {machine.repository}\n",
        f"note: Created repository {machine.repository}\n{BUCKET_HINT}",
    )


def test_publishing_the_same_content_again_is_reported(furnished: Machine) -> None:
    assert furnished.run("publish", "tiny") == Result(
        0,
        f"tiny 1.0.0 is already published with the same content\n"
        f"  in {furnished.repository}\n"
        f"  orbitpkg install tiny==1.0.0 --repository {furnished.repository}\n",
        BUCKET_HINT,
    )


def test_publish_dry_run_changes_nothing(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    done = machine.run("publish", "tiny", "--dry-run", "--repository", "./elsewhere")
    first, second, third = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert first == "Would publish tiny 1.0.0"
    assert second == f"  to {(machine.folder / 'elsewhere').as_uri()}"
    assert third.startswith("  3 files, 1.1 kB; ")
    assert third.endswith(" to upload")
    assert not (machine.folder / "elsewhere").exists()


def test_the_install_command_of_publish_can_be_pasted(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    line = machine.run("publish", "tiny").out.splitlines()[-1].strip()
    assert line.startswith("orbitpkg install ")
    colleague = Machine(machine.folder / "colleague")
    colleague.folder.mkdir()
    assert colleague.run(*line.split()[1:]).out.startswith("Installed tiny 1.0.0: 3 files, 1.1 kB\n")


def test_install_reports_the_package_and_the_path_command(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    machine.succeed("publish", "tiny")
    expected = Result(0, "Installed tiny 1.0.0: 3 files, 1.1 kB\n  orbitpkg path tiny==1.0.0\n", "")
    assert machine.run("install", "tiny") == expected


def test_installing_again_reports_that_it_is_installed(furnished: Machine) -> None:
    expected = Result(0, "tiny 1.0.0 is already installed: 3 files, 1.1 kB\n  orbitpkg path tiny==1.0.0\n", "")
    assert furnished.run("install", "tiny") == expected


def test_install_names_dependencies_and_apps_that_were_not_checked(furnished: Machine) -> None:
    write_package(furnished.folder / "big", "big", dependencies={"tiny": ">=1.0"}, compatibility={"nobodys-app": ">=2"})
    furnished.succeed("publish", "big")
    furnished.succeed("remove", "tiny")
    assert furnished.run("install", "big") == Result(
        0,
        "Installed big 1.0.0: 3 files, 1.1 kB\n"
        "  orbitpkg path big==1.0.0\n"
        "Installed tiny 1.0.0, as a dependency: 3 files, 1.1 kB\n",
        "note: Did not check whether big works with nobodys-app: its version is unknown. "
        "To check, pass --app nobodys-app==VERSION.\n",
    )


def test_a_partial_install_is_reported_and_completed(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    machine.succeed("publish", "tiny")
    size = 8 + (machine.folder / "tiny" / "package.json").stat().st_size
    first = f"Installed tiny 1.0.0: 2 files, {size} bytes (of 3 files)\n"
    assert machine.run("install", "tiny", "--only", "data/*").out.startswith(first)
    assert "(partial)" in machine.run("list").out
    assert machine.run("install", "tiny").out.startswith("Installed tiny 1.0.0: 3 files, 1.1 kB\n")
    assert "(partial)" not in machine.run("list").out


def test_install_dry_run_changes_nothing(furnished: Machine) -> None:
    assert furnished.run("install", "tiny", "--dry-run") == Result(0, "Everything is already installed.\n", "")
    furnished.succeed("remove", "tiny")
    done = furnished.run("install", "tiny", "--dry-run")
    first, second, third = done.out.splitlines()
    assert first == "Would install tiny 1.0.0"
    assert second == "  3 files, 1.1 kB to write"
    assert third.endswith(" to download in 1 request")
    assert furnished.run("list").out == ""


def test_an_archive_can_be_installed(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    archive = machine.run("build", "tiny").out.strip()
    machine.succeed("repo", "init", str(machine.home / "repository"))
    assert machine.run("install", archive, "--dry-run").out.startswith("Would install tiny 1.0.0\n")
    assert machine.run("install", archive).out.startswith("Installed tiny 1.0.0: 3 files, 1.1 kB\n")


def test_list_prints_a_line_for_each_version(furnished: Machine) -> None:
    write_package(furnished.folder / "tiny", version="1.10.0")
    write_package(furnished.folder / "other", "a-longer-name", description="Another one")
    furnished.succeed("publish", "tiny")
    furnished.succeed("publish", "other")
    furnished.succeed("install", "tiny", "a-longer-name")
    assert furnished.run("list") == Result(
        0,
        "a-longer-name  1.0.0   3 files  1.1 kB  Another one\n"
        "tiny           1.0.0   3 files  1.1 kB  Two small files\n"
        "tiny           1.10.0  3 files  1.1 kB\n",
        "",
    )


def test_an_empty_list_names_the_home_folder(machine: Machine) -> None:
    assert machine.run("list") == Result(0, "", f"note: No packages are installed in {machine.home}\n")
    assert machine.run("list", "--quiet") == Result(0, "", "")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("tiny",), ""),
        (("tiny==1.0.0", "model.bin"), "model.bin"),
        (("tiny", "data", "words.txt"), "data/words.txt"),
        (("Tiny", "data/words.txt"), "data/words.txt"),
        (("tiny", "data"), "data"),
    ],
)
def test_path_prints_one_path(words: tuple[str, ...], path: str, furnished: Machine) -> None:
    files = furnished.home / "store" / "v1" / "packages" / "tiny" / "1.0.0" / "files"
    assert furnished.run("path", *words) == Result(0, f"{files / path}\n", "")


def test_files_prints_a_path_a_line(furnished: Machine) -> None:
    assert furnished.run("files", "tiny") == Result(0, "data/words.txt\nmodel.bin\npackage.json\n", "")


def test_show_prints_the_details_of_an_installed_release(furnished: Machine) -> None:
    record, digest = furnished.record("tiny", "1.0.0")
    assert furnished.run("show", "tiny") == Result(
        0,
        "tiny 1.0.0\n"
        "Two small files\n"
        "license    MIT\n"
        "size       3 files, 1.1 kB\n"
        f"published  {record['published']}\n"
        "metadata   task: testing\n"
        f"digest     sha256:{digest}\n"
        f"from       {furnished.repository}\n"
        f"path       {furnished.home}/store/v1/packages/tiny/1.0.0/files\n",
        "",
    )


def test_show_reads_a_release_that_is_not_installed_from_the_repository(furnished: Machine) -> None:
    furnished.succeed("remove", "tiny")
    done = furnished.run("show", "tiny")
    assert done.out.splitlines()[0] == "tiny 1.0.0"
    assert done.out.splitlines()[-1] == f"from       {furnished.repository}"


def test_show_lists_files_that_can_run_code(machine: Machine) -> None:
    write_package(machine.folder / "tiny", files={"model.pkl": bytes(100)})
    machine.succeed("publish", "tiny")
    assert "can run code  pickle: model.pkl" in machine.run("show", "tiny").out.splitlines()
    for archive in (machine.home / "repository/archives").rglob("*.zst"):
        archive.unlink()
    assert "can run code  unknown: the table of contents cannot be read" in machine.run("show", "tiny").out.splitlines()


def test_versions_prints_a_version_a_line_oldest_first(furnished: Machine) -> None:
    for version in ("1.10.0", "1.2.0"):
        write_package(furnished.folder / "tiny", version=version)
        furnished.succeed("publish", "tiny")
    assert furnished.run("versions", "tiny") == Result(0, "1.0.0\n1.2.0\n1.10.0\n", "")


def test_search_lists_packages_that_contain_the_text(furnished: Machine) -> None:
    found = Result(0, "tiny  1.0.0  Two small files\n", "")
    assert furnished.run("search", "SMALL") == found
    assert furnished.run("search") == found
    assert furnished.run("search", "large") == Result(
        0, "", f"note: No packages match 'large' in {furnished.repository}\n"
    )


def test_remove_reports_what_it_removed(furnished: Machine) -> None:
    assert furnished.run("remove", "tiny", "--dry-run") == Result(
        0, "Would remove tiny 1.0.0 (frees up to 1.1 kB)\n", ""
    )
    assert furnished.run("remove", "tiny", "tiny==1.0.0") == Result(0, "Removed tiny 1.0.0 (1.1 kB freed)\n", "")
    assert furnished.run("list").out == ""


def test_remove_removes_nothing_if_one_name_is_unknown(furnished: Machine) -> None:
    assert furnished.run("remove", "tiny", "tinny").code == 1
    assert furnished.run("list").out == "tiny  1.0.0  3 files  1.1 kB  Two small files\n"


def installed_file(machine: Machine, path: str) -> Path:
    return machine.home / "store" / "v1" / "packages" / "tiny" / "1.0.0" / "files" / path


def test_verify_reports_an_undamaged_package_as_ok(furnished: Machine) -> None:
    assert furnished.run("verify") == Result(0, "tiny 1.0.0  good\n", "")


def test_verify_lists_damage_and_encodes_it_in_the_exit_code(furnished: Machine) -> None:
    installed_file(furnished, "model.bin").chmod(0o644)
    installed_file(furnished, "model.bin").write_bytes(bytes(999) + b"1")
    installed_file(furnished, "data/words.txt").unlink()
    installed_file(furnished, "more").write_bytes(b"")
    assert furnished.run("verify", "tiny") == Result(
        16 + 32 + 64,
        "tiny 1.0.0  damaged\n  missing  data/words.txt\n  altered  model.bin\n  extra  more\n",
        "error: 3 files of tiny 1.0.0 differ from the published release.\n"
        "hint: To repair: orbitpkg verify --repair tiny==1.0.0\n",
    )


def test_verify_repairs_and_moves_foreign_files_away(furnished: Machine) -> None:
    installed_file(furnished, "data/words.txt").unlink()
    installed_file(furnished, "more").write_bytes(b"")
    done = furnished.run("verify", "--repair", "--quick", "tiny")
    assert (done.code, done.out) == (0, "tiny 1.0.0  repaired\n  missing  data/words.txt\n  extra  more\n")
    (aside,) = (furnished.home / "store" / "v1" / "aside").iterdir()
    assert done.err.splitlines()[-1] == f"note: Moved files that do not belong to tiny 1.0.0 to {aside}"
    assert furnished.run("verify") == Result(0, "tiny 1.0.0  good\n", "")


def test_verify_explains_a_failed_repair(furnished: Machine) -> None:
    installed_file(furnished, "data/words.txt").unlink()
    (furnished.home / "repository").rename(furnished.home / "elsewhere")
    done = furnished.run("verify", "--repair")
    assert (done.code, done.out) == (16, "tiny 1.0.0  damaged\n  missing  data/words.txt\n")
    assert "warning: Could not repair tiny 1.0.0. " in done.err
    assert furnished.run("verify", "--repair", "--repository", furnished.home / "elsewhere").code == 0


def test_doctor_promises_no_installing_without_a_repository(machine: Machine) -> None:
    (machine.folder / "empty").mkdir()
    assert machine.run("doctor", "./empty").out.splitlines()[-1] == "Ready for publishing."


def test_validate_reports_unmatched_patterns_together_with_other_problems(machine: Machine) -> None:
    folder = machine.folder / "bad"
    folder.mkdir()
    (folder / "package.json").write_text('{\n"name": "a",\n"version": "1.0",\n"include": ["*.csv"]\n}\n')
    done = machine.run("validate", "bad")
    assert "error: bad/package.json: 2 problems" in done.err
    assert 'line 3, /version: "1.0" is not a valid version' in done.err
    assert 'line 4, /include/0: "*.csv" matches no file' in done.err


def test_repo_init_below_a_file_names_the_file(machine: Machine) -> None:
    (machine.folder / "plain").touch()
    assert machine.run("repo", "init", "./plain/x") == Result(
        1, "", f"error: Cannot create {machine.folder}/plain/x: {machine.folder}/plain is not a directory.\n"
    )


def test_a_missing_default_repository_is_called_that(machine: Machine) -> None:
    assert machine.run("search") == Result(
        1,
        "",
        f"error: The default repository {machine.repository} does not exist.\n"
        "hint: Set ORBITPKG_REPOSITORY or pass --repository.\n",
    )


@pytest.mark.parametrize(
    "words", [["outdated"], ["yank", "tiny==1.0.0", "--reason", "x"], ["deprecate", "tiny", "--undo"]]
)
def test_commands_report_a_missing_repository(furnished: Machine, words: list[str]) -> None:
    done = furnished.run(*words, "--repository", "./nothing")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: There is no repository at {(furnished.folder / 'nothing').as_uri()}.\n")


def test_remove_names_the_packages_that_lose_a_dependency(furnished: Machine) -> None:
    write_package(furnished.folder / "big", "big", "1.0.0", dependencies={"tiny": "<2"})
    furnished.succeed("publish", "big")
    furnished.succeed("install", "big")
    warning = "warning: tiny 1.0.0 is a dependency of big 1.0.0\n"
    assert furnished.run("remove", "tiny", "--dry-run").err == warning
    assert furnished.run("remove", "tiny", "big", "--dry-run").err == ""
    assert furnished.run("remove", "tiny").err == warning


def test_doctor_tests_each_feature(furnished: Machine) -> None:
    assert furnished.run("doctor") == Result(
        0,
        f"{furnished.repository}\n"
        "readable            yes  there is a repository here\n"
        "listing             yes\n"
        "writable            yes\n"
        "ranged reads        yes\n"
        "create-only writes  yes\n"
        "part copies         yes\n"
        "deletable           yes\n"
        "Ready for publishing and installing.\n",
        "",
    )


def test_repo_init_creates_a_repository_once(machine: Machine) -> None:
    url = (machine.folder / "shared").as_uri()
    assert machine.run("repo", "init", "./shared") == Result(0, f"Created repository {url}\n", "")
    assert machine.run("repo", "init", "shared") == Result(0, f"Repository {url} already exists\n", "")


def test_quiet_prints_only_data_and_errors(furnished: Machine) -> None:
    assert furnished.run("-q", "publish", "tiny") == Result(0, "", "")
    assert furnished.run("install", "tiny", "-q") == Result(0, "", "")
    assert furnished.run("versions", "tiny", "--quiet") == Result(0, "1.0.0\n", "")
    assert furnished.run("path", "tinny", "-q").err.startswith("error: tinny is not installed in ")


def test_the_version_is_printed(machine: Machine) -> None:
    from orbitpkg import __version__

    assert machine.run("--version") == Result(0, f"orbitpkg {__version__}\n", "")
    assert machine.run("--quiet", "--version") == Result(0, f"orbitpkg {__version__}\n", "")


def test_terminal_control_characters_are_escaped(machine: Machine) -> None:
    write_package(machine.folder / "tiny", description="plain \x9b31mred\x9b0m and a\u202ebackwards")
    machine.succeed("publish", "tiny")
    assert machine.run("search").out == "tiny  1.0.0  plain \\x9b31mred\\x9b0m and a\\u202ebackwards\n"

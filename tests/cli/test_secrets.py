"""Secrets are never written to the screen, to JSON or to a file, whatever fails.

Each secret contains a mark, which the tests search for in everything that a command writes. No server listens at the
addresses, so each command fails at some step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from orbitpkg.errors import OrbitError
from orbitpkg.redaction import redacted
from tests.cli.machine import write_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cli.machine import Machine, Result

MARK = "MARKEDSECRET"
NOWHERE = "127.0.0.1:9"
ENVIRONMENT: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": f"AKIA{MARK}",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}/key+",
    "AWS_SESSION_TOKEN": f"{MARK}token",
    "AWS_ENDPOINT_URL_S3": f"http://{NOWHERE}",
    "AWS_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
    "SOME_OTHER_TOKEN": MARK,
    "ORBITPKG_DEBUG": "1",
}
# A password or query in a scheme that allows none is a usage error, which must not repeat it.
ADDRESSES = (
    f"https://user:{MARK}@{NOWHERE}/models",
    f"http://user:{MARK}@{NOWHERE}/models",
    f"https://{NOWHERE}/models?X-Amz-Signature={MARK}&X-Amz-Credential={MARK}",
    f"http://{NOWHERE}/models#{MARK}",
    f"s3://AKIA:{MARK}@bucket/prefix",
    f"s3://bucket/prefix?secret={MARK}",
    "s3://bucket/prefix",
    f"ftp://user:{MARK}@{NOWHERE}/models",
    f"https:/user:{MARK}@{NOWHERE}",
    f"https://user:{MARK}@[bad/models",
    f"https://user:{quote(MARK + '@:')}@{NOWHERE}:port/models",
)
# Connecting to these fails only after a while, so few commands try them.
TRIED = (ADDRESSES[0], ADDRESSES[6])
COMMANDS = (
    ("install", "tiny==9.0.0"),
    ("install", "other"),
    ("publish", "tiny"),
    ("versions", "other"),
    ("search",),
    ("show", "other"),
    ("doctor",),
    ("verify", "--repair"),
    ("lock",),
    ("sync",),
    ("outdated",),
    ("repo", "verify"),
    ("repo", "init"),
    ("repo", "gc"),
)


def call(machine: Machine, command: tuple[str, ...], address: str, *more: str) -> Result:
    if command[0] == "repo":
        return machine.run(*command, address, *more, **ENVIRONMENT)
    return machine.run(*command, "--repository", address, *more, **ENVIRONMENT)


def leaks(folder: Path) -> list[str]:
    """Return the files below a folder that contain the mark in their names or contents."""
    return [
        str(path)
        for path in folder.rglob("*")
        if MARK in path.name or (path.is_file() and MARK.encode() in path.read_bytes())
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_output_and_no_file_contains_a_secret(furnished: Machine, command: tuple[str, ...]) -> None:
    write_package(furnished.folder / "tiny", version="9.0.0")
    (furnished.home / "store/v1/packages/tiny/1.0.0/files/model.bin").unlink()
    project = furnished.folder / "orbit.toml"
    project.write_text('requirements = ["tiny"]\n')
    furnished.succeed("lock")
    # A package that is not locked makes the commands access the repository.
    project.write_text('requirements = ["tiny", "other"]\n')
    tried = TRIED if command in {("install", "other"), ("publish", "tiny"), ("sync",)} else ()
    refused = [address for address in ADDRESSES if "?" in address or "#" in address or ":/user" in address]
    for number, address in enumerate([*refused, *tried]):
        more = ("--json",) if number % 2 else ()
        done = call(furnished, command, address, *more)
        assert done.code in {1, 2, 16}, (address, done)
        assert MARK not in done.out + done.err, (address, more)
    assert leaks(furnished.folder) == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_setting_repeats_a_secret(furnished: Machine, address: str) -> None:
    (furnished.folder / "orbit.toml").write_text(
        f'requirements = ["other"]\n\n[repositories.ours]\nurl = "{address}"\n'
    )
    for command in (("repo", "list"), ("tree",)):
        done = furnished.run(*command, "--json", **ENVIRONMENT)
        assert MARK not in done.out + done.err, command
    (furnished.folder / "orbit.toml").unlink()
    done = furnished.run("install", "other", "--offline", **{**ENVIRONMENT, "ORBITPKG_REPOSITORY": address})
    assert MARK not in done.out + done.err
    assert leaks(furnished.folder) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see https://user:pass@host/a now", "see https://…@host/a now"),
        ("https://host/a?X-Amz-Signature=1&b=2 failed", "https://host/a?… failed"),
        ("https://u:p@ss@host:1/a#b", "https://…@host:1/a?…"),
        ("https:/user:pass@host", "https:/…@host"),
        ('{"url": "s3://KEY:SECRET@bucket/x?y", "n": "a@b"}', '{"url": "s3://…@bucket/x?…", "n": "a@b"}'),
        ("file:///home/me/a@b.c", "file:///home/me/a@b.c"),
        ("Did you mean s3://bucket/a? Or not.", "Did you mean s3://bucket/a? Or not."),
        ("What? #1 at a@b: https://toml.io", "What? #1 at a@b: https://toml.io"),
    ],
)
def test_possible_secrets_are_removed_from_urls(text: str, left: str) -> None:
    assert redacted(text) == left


def test_an_error_never_contains_a_secret() -> None:
    error = OrbitError(f"https://u:{MARK}@h", hint=f"s3://k:{MARK}@b", url=f"http://h?{MARK}", more=[f"s3://{MARK}@b"])
    assert MARK not in f"{error} {error!r} {error.args} {error.data} {error.message} {error.hint}"


def test_a_published_release_contains_nothing_from_the_environment(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    assert machine.run("publish", "tiny", **ENVIRONMENT).code == 0
    assert machine.run("install", "tiny", **ENVIRONMENT).code == 0
    assert leaks(machine.folder) == []

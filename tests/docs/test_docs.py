"""The README and the docs are correct and complete: blocks run and print what they show; every name is documented."""

from __future__ import annotations

import configparser
import inspect
import json
import os
import re
import shutil
import sysconfig
import tomllib
from contextlib import ExitStack, contextmanager
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import click
import pytest

import orbitpkg
from orbitpkg import errors
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.cli.program import program
from orbitpkg.model.contents import parse_contents
from orbitpkg.model.manifest import parse_manifest
from orbitpkg.model.release import parse_release
from orbitpkg.model.requirements import parse_range
from orbitpkg.model.schemas import load_schema
from orbitpkg.model.versions import parse_version
from orbitpkg.repository.index import parse_index
from orbitpkg.repository.status import parse_status
from tests.docs.documents import DOCUMENTS, TOP, Block, Document, document
from tests.docs.shell import Shell, matches, open_shell
from tests.packages import archive_of, make_package, noise
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing, find_program, moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANGUAGES = {"console", "sh", "python", "json", "toml", "ini", "text"}
TOOLS = {"curl": "curl", "tar": "tar", "zstd": "zstd", "jq": "jq", "cmp": "diffutils"}
NOT_RUN_AT_MOST = 3
BLOCKS = [block for each in DOCUMENTS for block in each.blocks]


def named(documents: list[Document]) -> dict[str, Any]:
    return {"argvalues": documents, "ids": [document.name for document in documents]}


def of_language(language: str) -> dict[str, Any]:
    blocks = [block for block in BLOCKS if block.language == language]
    return {"argvalues": blocks, "ids": [block.place for block in blocks]}


# Code blocks.


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "document", **named([each for each in DOCUMENTS if any(block.is_run for block in each.blocks)])
)
def test_every_block_runs_and_prints_the_output_it_shows(document: Document, tmp_path: Path) -> None:
    require_tools(document)
    with followed(document, tmp_path) as shell:
        session = ""
        for block in document.blocks:
            if "file" in block.marks:
                write(tmp_path / "work" / block.marks["file"], block.text)
            elif block.language == "python" and block.text.startswith(">>>"):
                session += block.text
                run_session(shell, session, tmp_path, block.place)
            elif block.is_run:
                run_block(shell, block, tmp_path)


@contextmanager
def followed(document: Document, folder: Path) -> Iterator[Shell]:
    """Open a shell on a machine where orbitpkg was never used, in a directory with the sample packages."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    shutil.copytree(TOP / "sample_packages", work / "sample_packages")
    with ExitStack() as stack:
        environment = machine(home)
        if any("s3://" in block.text for block in document.blocks if block.is_run):
            environment |= s3_environment(stack, folder)
        shell = stack.enter_context(open_shell(work, environment))
        if document.name in STARTS:
            run(shell, STARTS[document.name], document.name)
        yield shell


STARTS = {
    "docs/api.md": "orbitpkg publish -q sample_packages/digits-images && orbitpkg publish -q sample_packages/digits && "
    "orbitpkg install -q digits",
    "docs/sputnik.md": f"PYTHONPATH={TOP} python -m tests.compat.old_format s3://old-bucket/models 1.0 2.0.0 latest",
}
"""Commands that the reader of a document has already run."""


def machine(home: Path) -> dict[str, str]:
    programs = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": programs,
        "HOME": str(home),
        "ORBITPKG_HOME": str(home / ".local/share/orbitpkg"),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def s3_environment(stack: ExitStack, folder: Path) -> dict[str, str]:
    # Each document gets its own server, because all use the same bucket and expect it to be empty.
    try:
        return stack.enter_context(moto_server(folder)).env()
    except ServerMissing as missing:
        skip_or_fail(missing)


def require_tools(document: Document) -> None:
    text = "".join(block.text for block in document.blocks if block.is_run)
    for tool, package in {**TOOLS, "orbitpkg": ""}.items():
        if re.search(rf"\b{tool}\b", text):
            how = f"apt-get install {package}" if package else "pip install --editable ."
            try:
                find_program(tool, how_to_get=how)
            except ServerMissing as missing:
                skip_or_fail(missing)


def run_block(shell: Shell, block: Block, folder: Path) -> None:
    if block.language == "console":
        steps = block.steps
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            printed, code = shell.run(step.command)
            message = f"{block.place}: $ {step.command}\nprinted\n{printed}\nexpected\n{step.expected}"
            assert matches(printed, step.expected), message
            fails = following is not None and following.command == "echo $?"
            assert fails or code == 0, message
    elif block.language == "python":
        run(shell, f"python {write(folder / 'block.py', block.text)}", block.place)
    else:
        run(shell, block.text, block.place)


def run_session(shell: Shell, session: str, folder: Path, place: str) -> None:
    """Run an interactive session; later blocks of a document continue earlier ones."""
    path = write(folder / "session.txt", session.replace("…", "..."))
    run(shell, f"PYTHONDONTWRITEBYTECODE=1 python -m doctest -o ELLIPSIS {path}", place)


def run(shell: Shell, command: str, place: str) -> None:
    printed, code = shell.run(command)
    assert code == 0, f"{place}:\n{printed}"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_block_declares_a_known_language() -> None:
    assert [block.place for block in BLOCKS if block.language not in LANGUAGES] == []


def test_every_script_shown_in_a_document_is_run() -> None:
    for each in DOCUMENTS:
        commands = "".join(block.text for block in each.blocks if block.language == "console")
        for block in each.blocks:
            if block.language == "python" and "file" in block.marks:
                assert f"python {block.marks['file']}" in commands, block.place


def test_few_blocks_are_not_run_and_each_gives_a_reason() -> None:
    reasons = [block.marks["not run"] for block in BLOCKS if "not run" in block.marks]
    assert all(reasons)
    assert len(reasons) <= NOT_RUN_AT_MOST


def test_every_mark_is_known() -> None:
    assert set(chain.from_iterable(block.marks for block in BLOCKS)) <= {"file", "not run", "policy", "broken"}


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("one\ntwo\n", "one\ntwo", True),
        ("one\ntwo\n", "one", False),
        ("one 5 three\n", "one … three", True),
        ("one\nthree\n", "one … three", False),
        ("one\ntwo\nthree\n", "one\n…\nthree", True),
        ("", "", True),
        ("one\n", "", False),
    ],
)
def test_an_ellipsis_matches_text_in_a_line_or_any_number_of_lines(printed: str, expected: str, *, same: bool) -> None:
    assert matches(printed, expected) is same


# JSON.


@pytest.mark.parametrize("block", **of_language("json"))
def test_json_blocks_are_valid(block: Block) -> None:
    value = json.loads(block.text)
    data = block.text.encode()
    if "broken" in block.marks:
        with pytest.raises(errors.ManifestError):
            parse_manifest(data)
    elif "include" in value:
        parse_manifest(data)
    elif "archive" in value:
        parse_release(data, name=value["name"], version=parse_version(value["version"]))
    elif "releases" in value:
        parse_index(data, name=value["name"])
    elif "chunks" in value:
        parse_contents(data)
    elif "Statement" in value:
        check_policy(value)
    elif "state" in value:
        parse_status(data, what="the status")
    else:
        assert {"format", "id", "store"} == value.keys()


def check_policy(policy: dict[str, Any]) -> None:
    assert policy.keys() == {"Version", "Statement"}
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert statement.keys() - {"Principal", "Condition"} == {"Sid", "Effect", "Action", "Resource"}
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        for action in listed(statement["Action"]):
            assert re.fullmatch(r"s3:[A-Z][A-Za-z]+", action)
        for resource in listed(statement["Resource"]):
            assert re.fullmatch(r"arn:aws:s3:::example-models(/[a-z.*/]+)?", resource)


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("block", **of_language("ini"))
def test_profiles_can_be_parsed(block: Block) -> None:
    profile = configparser.ConfigParser()
    profile.read_string(block.text)
    assert profile.sections()


@pytest.mark.parametrize("block", **of_language("toml"))
def test_toml_blocks_are_valid(block: Block) -> None:
    assert tomllib.loads(block.text)


# Completeness.


@pytest.mark.parametrize("document", **named(DOCUMENTS))
def test_links_have_a_target(document: Document) -> None:
    for link in document.links:
        target, _, anchor = link.partition("#")
        if re.match(r"https?:", target):
            continue
        path = (document.path.parent / target).resolve() if target else document.path
        assert path.exists(), link
        if anchor:
            assert anchor in Document(path).anchors, link


def test_the_index_links_to_every_document() -> None:
    index = document("docs/README.md")
    linked = {(index.path.parent / link).resolve() for link in index.links}
    assert {each.path for each in DOCUMENTS if each.path.parent == TOP / "docs"} - {index.path} <= linked


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")
        else:
            yield f"{path} {name}", found


COMMANDS = dict(commands(program, "orbitpkg"))
SHARED = {"--json", "--quiet", "-q", "--help", "-h"}


def options_of(command: click.Command) -> set[str]:
    return {word for parameter in command.params if isinstance(parameter, click.Option) for word in parameter.opts}


def sections() -> dict[str, str]:
    """Return the sections of the command-line reference by command."""
    cli = document("docs/cli.md")
    headings = [line.removeprefix("### ") for line in cli.prose if line.startswith("### `orbitpkg ")]
    words = re.compile(r"`(orbitpkg(?: [a-z-]+)+)")
    return {found[1]: cli.section(heading) for heading in headings if (found := words.match(heading))}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_section_of_every_command_documents_exactly_its_options(name: str) -> None:
    documented = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", sections()[name]))
    there = options_of(COMMANDS[name]) - SHARED
    assert {option for option in there if option.startswith("--")} - documented == set()
    assert documented - there - {"-p"} == set()


def test_every_section_documents_an_existing_command() -> None:
    assert sections().keys() == COMMANDS.keys()


def test_global_options_are_documented() -> None:
    section = document("docs/cli.md").section("Global options")
    assert {option for option in {*SHARED, "-r", "--repository", "--offline"} if f"`{option}" not in section} == set()


def mentioned(name: str, text: str) -> bool:
    return re.search(rf"`[^`]*(?<![\w.]){re.escape(name)}(?!\w)[^`]*`", text) is not None


API = "\n".join(document("docs/api.md").prose)


def test_every_public_name_is_documented() -> None:
    spelled = {
        name: name if isinstance(getattr(orbitpkg, name), type) else f"orbitpkg.{name}" for name in dir(orbitpkg)
    }
    # A class may be written as orbitpkg.Package or as Package.
    text = re.sub(r"\borbitpkg\.(?=[A-Z])", "", API)
    assert [name for name, spelling in spelled.items() if not mentioned(spelling, text)] == []


def test_every_attribute_of_a_package_is_documented() -> None:
    attributes = {name for name, _ in inspect.getmembers(orbitpkg.Package) if not name.startswith("_")}
    assert {name for name in attributes if not mentioned(name, API)} == set()


def test_documented_signatures_match_the_functions() -> None:
    for name in ("build", "publish", "install", "package", "packages", "project", "remove"):
        found = re.search(rf"`orbitpkg\.{name}\(([^`]*?)\)[^`()]*`", API)
        assert found is not None, name
        documented = [
            part.partition("=")[0] for part in re.sub(r"\s", "", found[1]).split(",") if part not in {"", "*"}
        ]
        assert documented == list(inspect.signature(getattr(orbitpkg, name)).parameters), name


def test_every_error_is_documented_with_its_code_and_level() -> None:
    rows = re.findall(r"^\| ([· ]*)`(\w+)`( \*)? \| `([\w-]+)` \|", API, re.MULTILINE)
    documented = {name: (dots.count("·"), bool(star), code) for dots, name, star, code in rows}
    tree = {name: getattr(errors, name) for name in errors.__all__ if issubclass(getattr(errors, name), Exception)}
    assert documented == {
        name: (error.__mro__.index(errors.OrbitError), name in dir(orbitpkg), error.code)
        for name, error in tree.items()
    }


def test_every_environment_variable_is_documented() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (TOP / "orbitpkg").rglob("*.py"))
    variables = {name for source in sources for name in re.findall(r'"(ORBITPKG_[A-Z_]+)"', source)}
    assert variables
    assert {name for name in variables if f"`{name}`" not in document("docs/api.md").section("Environment")} == set()


def test_every_key_of_a_manifest_is_documented() -> None:
    section = document("docs/manifest.md").section("Keys")
    assert {key for key in load_schema("package")["properties"] if f"| `{key}` |" not in section} == set()


def test_every_key_of_a_record_is_documented() -> None:
    section = document("docs/formats.md").section("Release record")
    assert {key for key in load_schema("release")["properties"] if not mentioned(key, section)} == set()


VERSIONS = [
    parse_version(".".join(map(str, numbers)) + tail)
    for numbers in product(range(3), range(6), range(4))
    for tail in ("", "-rc.1")
]


def test_the_table_of_version_ranges_is_correct() -> None:
    rows = re.findall(
        r"^\| `(.*?)` \| `(.*?)` \|", document("docs/manifest.md").section("Version ranges"), re.MULTILINE
    )
    assert len(rows) > 10
    for text, allowed in rows:
        wide, exact = parse_range(text), parse_range(allowed)
        assert [v for v in VERSIONS if wide.allows(v)] == [v for v in VERSIONS if exact.allows(v)], text


# Recovery.


def test_the_recovery_program_finds_files_that_span_chunks(tmp_path: Path) -> None:
    require_tools(document("docs/formats.md"))
    files = {"a.bin": noise(3_000_000), "b.bin": noise(5_000_000, seed=1), "c.bin": noise(1000, seed=2)}
    archive = archive_of(make_package(tmp_path / "p", files=files), tmp_path / "p.tar.zst")
    with LocalArchive.open(archive) as opened:
        write(tmp_path / "contents.json", opened.contents.to_json().decode())
        assert len(opened.contents.chunks_of(opened.contents.by_path["b.bin"])) > 1
    program = next(block for block in document("docs/formats.md").blocks if block.marks.get("file") == "find.jq")
    write(tmp_path / "find.jq", program.text)
    with open_shell(tmp_path, machine(tmp_path)) as shell:
        for name, data in files.items():
            run(shell, f"read range skip size < <(jq -r --arg file {name} -f find.jq contents.json)", name)
            get = f"curl -sSf -r $range file://{archive} | zstd -dqc | tail -c +$((skip + 1)) | head -c $size > out"
            run(shell, get, name)
            assert (tmp_path / "out").read_bytes() == data

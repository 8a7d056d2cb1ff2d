"""TOML is parsed at a cost that grows with its size, whatever it contains."""

from __future__ import annotations

import tomllib

import pytest

from orbitpkg.errors import LockfileError, ProjectError
from orbitpkg.model.lockfile import parse_lock
from orbitpkg.model.project import parse_project
from orbitpkg.model.tomltext import MAX_KEY_PARTS, check_keys, load_toml
from tests.peak_memory import peak_mebibytes

MANY = MAX_KEY_PARTS + 1


@pytest.mark.parametrize(
    "text",
    [
        f"{'.'.join('a' * MANY)} = 1",
        f"[{'.'.join('a' * MANY)}]",
        f"x = {{ {' . '.join('a' * MANY)} = 1 }}",
        f"x = [\n  {{ {'.'.join(['q'] * MANY)} = 1 }} ]",
        ".".join(["'a'", '"b.c"'] * MANY) + " = 1",
        f'x = "#"\n{".".join("a" * MANY)} = 1',
        f"x = '''\n'''\n{'.'.join('a' * MANY)} = 1",
    ],
)
def test_keys_with_too_many_parts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has more than 16 parts"):
        load_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{'.'.join('a' * MAX_KEY_PARTS)} = 1",
        'text = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s"',
        "text = 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s'",
        'text = """a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s"""',
        "text = '''it's a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s'''",
        '# a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s\ntext = ""',
        "numbers = [1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1]",
        "\n".join(f"a.b{number} = 1" for number in range(50)),
        'text = "a\\"b.c.d" # "x.y.z.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"',
    ],
)
def test_other_texts_with_many_dots_are_parsed(text: str) -> None:
    assert load_toml(text) == tomllib.loads(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        '"""' + '\\"""' * 100_000,
        "'" * 300_000,
        "a" * 1_000_000,
        ("a" + " " * 1000) * 1000,
        '"\\' * 300_000,
        "# '" * 99_999,
    ],
    ids=["escapes", "quotes", "word", "spaces", "backslashes", "comment"],
)
def test_checking_keys_takes_linear_time(text: str) -> None:
    check_keys(text + "\n" + "1.1\n" * MANY)


def test_a_lockfile_with_a_long_key_is_refused_without_parsing_it() -> None:
    data = f"format = 1\n{'.'.join('a' * 20_000)} = 1\n# end\n".encode()
    with pytest.raises(LockfileError, match="has more than 16 parts"):
        parse_lock(data)
    program = """
from orbitpkg.errors import LockfileError
from orbitpkg.model.lockfile import parse_lock
try:
    parse_lock(("format = 1\\n" + ".".join("a" * 20_000) + " = 1\\n# end\\n").encode())
except LockfileError:
    pass
"""
    assert peak_mebibytes(program) <= 64


def test_settings_name_a_limited_number_of_repositories_and_packages() -> None:
    row = {"url": "s3://models"}
    with pytest.raises(ProjectError, match=r"orbit.toml: 1,001 repositories; the maximum is 1,000"):
        parse_project({"repositories": {f"r{number}": row for number in range(1_001)}}, where="orbit.toml")
    packages = [f"p{number}" for number in range(10_001)]
    with pytest.raises(ProjectError, match=r"10,001 names; the maximum is 10,000"):
        parse_project({"repositories": {"ours": {**row, "packages": packages}}}, where="orbit.toml")

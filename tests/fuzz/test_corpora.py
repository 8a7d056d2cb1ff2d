"""Every kept input of the fuzzer, and random changes to them, are understood or refused with an error of ours."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS, attempt, corpus_of
from tests.torture.scale import scaled, tally

CHANGES = scaled(150, 5_000)


def changed(data: bytes, chance: random.Random) -> bytes:
    """Change bytes the way that broken disks, and people, do."""
    spoiled = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(spoiled) + 1)
        match chance.randrange(5):
            case 0:
                del spoiled[at:]
            case 1:
                del spoiled[at : at + chance.randint(1, 8)]
            case 2:
                spoiled[at:at] = chance.choice([b"{", b"[", b'"', b"null", b"-1", b"1e999", b"\0", b"\xff", b"9" * 30])
            case 3:
                spoiled[at:at] = spoiled[at : at + 64]
            case _:
                spoiled[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(spoiled)


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_are_understood_or_refused(target: str) -> None:
    corpus = corpus_of(target)
    understood = {path.name: attempt(target, path.read_bytes()) for path in corpus}
    assert {name for name, well in understood.items() if well} == {name for name in understood if "good" in name}
    assert any(understood.values())
    tally("bad inputs kept as corpora, refused", len(understood) - sum(understood.values()))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS)
def test_changed_inputs_are_understood_or_refused(target: str) -> None:
    chance = random.Random(target)  # noqa: S311
    corpus = [path.read_bytes() for path in corpus_of(target)]
    for _ in range(CHANGES):
        data = changed(chance.choice(corpus), chance)
        try:
            attempt(target, data)
        except Exception as error:
            error.add_note(f"{target}: {data!r}")
            raise
    tally("inputs changed at random", CHANGES)

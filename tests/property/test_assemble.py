"""Parts put together from new frames and earlier archives are the archive, in the sizes that a store takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.archive.encoder import EncodedChunk
from orbitpkg.archive.frames import compress_chunk, digest_of
from orbitpkg.model.contents import Chunk
from orbitpkg.publisher.assemble import Assembler, ComposedPart, CopiedPart, KnownFrame, SentPart

if TYPE_CHECKING:
    from orbitpkg.publisher.assemble import Part

# What a chunk is: the number of its bytes, and whether the earlier archive holds it (and then whether it follows the
# known chunk before it there).
CHUNKS = st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["new", "known", "known, elsewhere"])), max_size=60)


def encoded(index: int, length: int, position: int) -> EncodedChunk:
    data = index.to_bytes(2, "big") * length
    frame = compress_chunk(data)
    chunk = Chunk(index=index, offset=0, length=len(data), position=position, stored=len(frame), blake3=digest_of(data))
    return EncodedChunk(chunk=chunk, frame=frame, plain=memoryview(data))


@given(CHUNKS, st.integers(0, 200), st.integers(1, 600))
def test_parts_are_the_archive(chunks: list[tuple[int, str]], least: int, usual: int) -> None:
    assembler = Assembler(least=least, usual=usual)
    earlier, other, archive = bytearray(), bytearray(), bytearray()
    parts: list[Part] = []
    for index, (length, kind) in enumerate(chunks):
        piece = encoded(index, length, len(archive))
        assert piece.frame is not None
        archive += piece.frame
        if kind == "new":
            parts += assembler.add_frame(piece.frame)
            continue
        if kind == "known, elsewhere":
            earlier += b"between"
        places = [
            KnownFrame(key="other", position=len(other), stored=len(piece.frame)),
            KnownFrame(key="earlier", position=len(earlier), stored=len(piece.frame)),
        ]
        other += piece.frame + b"between"
        earlier += piece.frame
        parts += assembler.add_known(places, piece)
    archive += b"the last frame"
    parts += assembler.finish(b"the last frame")
    assert b"".join(part_bytes(part, {"earlier": earlier, "other": other}) for part in parts) == archive
    assert all(part.length >= least for part in parts[:-1])
    assert all(part.copied.length >= least for part in parts if isinstance(part, ComposedPart))
    assert isinstance(parts[-1], SentPart)


def part_bytes(part: Part, archives: dict[str, bytearray]) -> bytes:
    if isinstance(part, ComposedPart):
        return part_bytes(part.copied, archives) + part_bytes(part.sent, archives)
    if isinstance(part, CopiedPart):
        return bytes(archives[part.source][part.start : part.start + part.length])
    return bytes(part.data)


@given(st.integers(2, 60), st.integers(1, 100))
def test_known_objects_are_copied_except_for_the_end(count: int, least: int) -> None:
    assembler, position = Assembler(least=least, usual=1000), 0
    parts: list[Part] = []
    for index in range(count):
        piece = encoded(index, 300, position)
        assert piece.frame is not None
        parts += assembler.add_known([KnownFrame(key="k", position=position, stored=len(piece.frame))], piece)
        position += len(piece.frame)
    parts += assembler.finish(b"end")
    copied = [part for part in parts if isinstance(part, CopiedPart)]
    if position >= least:
        assert [(part.start, part.length) for part in copied] == [(0, position)]
        assert [part.data for part in parts if isinstance(part, SentPart)] == [b"end"]
    else:
        assert copied == []

"""Archives with anything broken in them: the reader answers, in time, within its memory."""

from __future__ import annotations

import io
import random
import time
import tracemalloc

import pytest

from baqup_agent.errors import DataError, IOFailure
from baqup_agent.security.archive_reader import HEADER_BYTES, ArchiveReader
from baqup_agent.security.member import Kind, Member
from tests.staging.archives import NOW_NS, a_file, archived

BLOCK = 512

#: Texts that mean something in an archive, to be put anywhere.
WORDS = [
    b"../", b"/", b"\0", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0", b"99 ", b"0 ",
    b"9999999 path=", b"GNU.sparse.map=0,1", b"GNU.sparse.major=1", b"GNU.sparse.realsize=1",
    b"SCHILY.xattr.x=", b"SCHILY.acl.access=u", b"mtime=-", b"size=9", b"path=", b"linkpath=",
    b"ustar  \0", b"ustar\00000", b"x", b"g", b"L", b"K", b"S", b"1", b"2", b"5", b"\n", b"=", b",",
]  # fmt: skip


def seeds() -> list[bytes]:
    """Archives with everything that the reader understands."""
    sparse, content = a_file(b"s" * 150, b"d" * 1024, extents=((0, 512), (4096, 512)))
    ours = archived(
        Member(Kind.DIRECTORY, b"d", 0o755, mtime_ns=NOW_NS),
        a_file(b"d/f", b"content", xattrs={b"user.a": b"1", b"user.b=": b"\n"}),
        a_file(b"n" * 120, b"x" * 600, mtime_ns=-1, uid=2**22),
        Member(Kind.SYMLINK, b"l", link=b"t" * 120),
        Member(Kind.HARDLINK, b"h", link=b"d/f", mtime_ns=5 * 10**9),
        (sparse._replace(size=10_000), content + bytes(10_000)),
    )
    return [ours, *(old_sparse(more=more) for more in (False, True)), acl_and_map()]


def sealed(block: bytes) -> bytes:
    """Give a header block its right checksum."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def old_sparse(*, more: bool) -> bytes:
    """A sparse file and a long name as old GNU tar writes them."""
    pairs = b"".join(b"%011o\0%011o\0" % (n * 1024, 512) for n in range(4))
    size = 512 * (4 + 21 * more)
    block = bytearray(archived(a_file(b"s"))[2 * BLOCK : 3 * BLOCK])
    block[124:136] = b"%011o\0" % size
    block[156:157] = b"S"
    block[257:265] = b"ustar  \0"
    block[386:482] = pairs
    block[482] = more
    block[483:495] = b"%011o\0" % 100_000
    more_pairs = b"".join(b"%011o\0%011o\0" % (n * 1024, 512) for n in range(4, 25))
    extension = more * (more_pairs + bytes(8))
    return sealed(bytes(block)) + extension + b"d" * size + bytes(2 * BLOCK)


def acl_and_map() -> bytes:
    """Pax records of other programs: access lists in words, a sparse map of version 0.1."""
    records = [
        b"SCHILY.acl.access=user::rw-,user:5:r--,group::r--,mask::r--,other::r--",
        b"GNU.sparse.map=0,512,1024,512",
        b"GNU.sparse.size=4000",
        b"GNU.sparse.name=other",
    ]
    body = b"".join(b"%d %b\n" % (len(each) + 4, each) for each in records)
    assert all(len(str(len(each) + 4)) == 2 for each in records)
    plain = archived(a_file(b"s", b"x" * 1024))
    pax = plain[:BLOCK]
    pax = sealed(pax[:124] + b"%011o\0" % len(body) + pax[136:])
    return pax + body.ljust(BLOCK, b"\0") + plain[2 * BLOCK :]


#: Where the fields of a header block begin.
FIELDS = [0, 0, 0, 100, 108, 116, 124, 124, 136, 156, 157, 257, 345, 386, 482, 483]


def headers_in(data: bytearray) -> list[int]:
    return [at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar"]


def change(chance: random.Random, data: bytearray, at: int) -> None:
    data[at] = chance.randrange(256)


def overwrite(chance: random.Random, data: bytearray, at: int) -> None:
    word = chance.choice(WORDS)
    data[at : at + len(word)] = word


def change_field(chance: random.Random, data: bytearray, _: int) -> None:
    overwrite(chance, data, chance.choice(headers_in(data) or [0]) + chance.choice(FIELDS))


def repeat(chance: random.Random, data: bytearray, at: int) -> None:
    start = at - at % BLOCK
    data[start:start] = data[start : start + chance.choice([1, BLOCK, 3 * BLOCK])]


def drop(chance: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + chance.choice([1, BLOCK, 1000, len(data)])]


def mutated(chance: random.Random, seed: bytes) -> bytes:
    """Break an archive in one to four ways; mostly, its headers get right checksums."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        if data:
            act = chance.choice([change, overwrite, change_field, change_field, repeat, drop])
            act(chance, data, chance.randrange(len(data)))
    if chance.random() < 0.8:
        for start in headers_in(data):
            data[start : start + BLOCK] = sealed(bytes(data[start : start + BLOCK]))
    return bytes(data)


class Counted(io.BytesIO):
    """Counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


def outcome(data: bytes) -> str:
    """Read an archive to its end or to its error; anything but the allowed errors comes through."""
    source = Counted(data)
    total = members = 0
    try:
        archive = ArchiveReader(source)
        for member in archive:
            members += 1
            assert member.kind in Kind
            assert not member.name.startswith((b"/", b"../"))
            stored = sum(map(len, archive.content()))
            assert stored == member.stored_bytes <= len(data)
            total += stored
    except (DataError, IOFailure) as error:
        result, message = type(error).__name__, error.message
    else:
        result, message = "read", ""
    assert "\n" not in message
    assert total <= len(data)
    assert members <= len(data) // BLOCK
    assert source.reads <= 3 + len(data) // BLOCK
    return result


def test_seeds_are_whole() -> None:
    """What is to be broken is right to begin with."""
    assert [outcome(seed) for seed in seeds()] == ["read"] * 4


def test_no_mutation_is_answered_otherwise_than_by_the_reader(long: bool) -> None:
    """Broken archives are read, or end in an error that says why: no other exception, no hang."""
    chance, whole = random.Random(20261), seeds()
    results: dict[str, int] = {}
    for _ in range(300_000 if long else 4000):
        data = mutated(chance, chance.choice(whole))
        began_s = time.process_time()
        result = outcome(data)
        assert time.process_time() - began_s < 5, data
        results[result] = results.get(result, 0) + 1

    # The mutations reach all the answers, or they would show nothing.
    assert results.keys() >= {"read", "DataError", "PathEscape"}
    assert min(results.values()) > 20


def number(value: int) -> bytes:
    return b"%011o\0" % value


@pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
def test_headers_take_no_more_memory_than_their_limit(flag: bytes) -> None:
    """The worst extended headers that the limit lets pass cost a few times their bytes."""
    room = HEADER_BYTES - 8 * BLOCK
    lines = b"".join(b"26 SCHILY.xattr.%07d=\n" % n for n in range(room // 26))
    body = b"n" * room if flag in b"LK" else lines
    block = archived(a_file(b"f"))[2 * BLOCK : 3 * BLOCK]
    head = sealed(block[:124] + number(len(body)) + block[136:156] + flag + block[157:])
    data = (head + body + bytes(-len(body) % BLOCK) + block) * 3 + bytes(2 * BLOCK)
    del body, lines

    tracemalloc.start()
    try:
        outcome(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 16 * HEADER_BYTES


def test_maps_take_no_more_memory_than_their_limit() -> None:
    """The longest map that passes costs a few times its bytes."""
    count = 50_000
    text = b"%d\n" % count + b"".join(b"%d\n512\n" % (n * 513) for n in range(count))
    text += bytes(-len(text) % BLOCK)
    records = [b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=99999999"]
    body = b"".join(b"%d %b\n" % (len(each) + 4, each) for each in records)
    plain = archived(a_file(b"s"))
    size = number(len(text) + count * 512)
    pax, block = plain[:BLOCK], plain[2 * BLOCK : 3 * BLOCK]
    head = sealed(pax[:124] + number(len(body)) + pax[136:]) + body.ljust(BLOCK, b"\0")
    data = head + sealed(block[:124] + size + block[136:]) + text
    source = io.BytesIO(data)

    tracemalloc.start()
    try:
        member = next(iter(ArchiveReader(source)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert member.extents is not None
    assert len(member.extents) == count
    assert peak < 24 * HEADER_BYTES

"""The reader's own rules: what it takes, what it refuses, and how it says so."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.errors import BaqupError, DataError, IOFailure, PathEscape
from baqup_agent.security.archive_reader import ArchiveReader, reader
from baqup_agent.security.archive_reader.block import BlockError, number, parse
from baqup_agent.security.archive_reader.quick import QuickParser
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive_header import BLOCK, header, padding
from tests.staging.archives import NOW_NS, a_file, archived, read

END = bytes(2 * BLOCK)


def checked(block: bytes) -> bytes:
    """Give a header block its right checksum."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank[:BLOCK]) + blank[156:]


def a_block(
    name: bytes = b"f", flag: bytes = b"0", size: int = 0, *, gnu: bool = False, body: bytes = b""
) -> bytes:
    """A header block with anything in it, and what follows it."""
    block = header(Member(Kind.FILE, b"x"))
    magic = b"ustar  \0" if gnu else b"ustar\00000"
    block = name.ljust(100, b"\0") + block[100:124] + b"%011o\0" % (size or len(body)) + block[136:]
    block = checked(block[:156] + flag + block[157:257] + magic + block[265:])
    return block + body + padding(len(body))


def record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body) + 1
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return b"%d%b" % (length, body)


def pax(*records: tuple[bytes, bytes], flag: bytes = b"x") -> bytes:
    return a_block(b"pax", flag, body=b"".join(record(*each) for each in records))


def only(*parts: bytes) -> Member:
    (found,) = read(b"".join(parts) + END)
    return found[0]


def refused(match: str, *parts: bytes, kind: type[BaqupError] = DataError) -> None:
    with pytest.raises(kind, match=match) as caught:
        read(b"".join(parts) + END)
    assert type(caught.value) is kind
    assert "\n" not in caught.value.message


def test_content_comes_in_big_pieces() -> None:
    """A large file is handed out in pieces as large as the source gives, not in blocks."""
    data = archived(a_file(b"f", bytes(range(256)) * 40_000))
    archive = ArchiveReader(io.BytesIO(data))

    (pieces,) = ([len(piece) for piece in archive.content()] for _ in archive)

    assert sum(pieces) == 256 * 40_000
    assert len(pieces) < 60


def test_content_that_nobody_asked_for_is_passed_over() -> None:
    """Members are found whether their contents are read, read in part, or not at all."""
    files = [a_file(b"%d" % n, b"x" * n * 1000) for n in range(50)]
    archive = ArchiveReader(io.BytesIO(archived(*files)))

    found = []
    for turn, member in enumerate(archive):
        found.append(member)
        if turn % 3 == 1:
            next(archive.content(), None)

    assert found == [member for member, _ in files]


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 4096])
def test_a_source_may_give_a_little_at_a_time(step: int) -> None:
    """Pipes give what they have; the archive is the same."""
    items = [a_file(b"a", b"x" * 700), a_file(b"n" * 300, b"y"), a_file(b"b")]
    data = archived(*items)

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, step))

    archive = ArchiveReader(Slow(data))
    assert [(m, b"".join(archive.content())) for m in archive] == items


def test_an_error_of_the_source_is_an_io_failure() -> None:
    """What the system says is told as an I/O failure, whether in a header or in a content."""
    data = archived(a_file(b"f", b"x" * 2**20))

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2**18:
                raise OSError(5, "Input/output error")
            return super().read(size)

    def read_all() -> None:
        archive = ArchiveReader(Broken(data))
        for _ in archive:
            for _ in archive.content():
                pass

    with pytest.raises(IOFailure, match=r"cannot be read: .*Input/output"):
        read_all()


def test_old_long_names_are_read() -> None:
    """GNU tar's long names and link texts stand for the fields; pax records stand above them."""
    name, text = b"n/" * 150 + b"f", b"t/" * 200
    parts = [
        a_block(b"././@LongLink", b"L", body=name + b"\0", gnu=True),
        a_block(b"././@LongLink", b"K", body=text + b"\0", gnu=True),
        a_block(b"n", b"2", gnu=True),
    ]
    assert only(*parts).name == name
    assert only(*parts).link == text
    assert only(*parts[:2], pax((b"path", b"other")), parts[2]).name == b"other"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"000644 \0", 0o644),
        (b"   644 \0", 0o644),
        (b"00000644", 0o644),
        (b"\0" * 8, 0),
        (b"        ", 0),
        (b"\x80\0\0\0\0\0\x01\0", 256),
        (b"\xff" * 8, -1),
        (b"\xff" * 7 + b"\0", -256),
    ],
)
def test_numbers_are_read_as_tar_programs_write_them(field: bytes, value: int) -> None:
    """Octal digits between blanks, and GNU tar's binary numbers of both signs."""
    assert number(field) == value


@pytest.mark.parametrize(
    "field",
    [b"0000648\0", b"0o00644\0", b"-000644\0", b"+000644\0", b"6_44   \0", b"64 4   \0",
     b"\x81\0\0\0\0\0\0\0", b"\xfe\0\0\0\0\0\0\0", b"0x00644\0", b"\xd9\xa1     \0"],
)  # fmt: skip
def test_other_numbers_are_none(field: bytes) -> None:
    """What Python takes for a number is not what tar programs write."""
    with pytest.raises(BlockError, match="octal"):
        number(field)


@pytest.mark.parametrize(
    ("match", "parts"),
    [
        ("without the mark", [checked(a_block()[:257] + bytes(255))]),
        ("bad checksum", [a_block()[:20] + b"z" + a_block()[21:]]),
        ("no end mark", [a_block(), b""]),
        ("a second extended header", [pax((b"path", b"a")), pax((b"path", b"b")), a_block()]),
        ("extended header without its member", [pax((b"path", b"a"))]),
        ("stands twice", [pax((b"path", b"a"), (b"path", b"b")), a_block()]),
        ("stands twice", [pax((b"SCHILY.xattr.a", b"1"), (b"SCHILY.xattr.a", b"2")), a_block()]),
        ("wrong length", [a_block(b"p", b"x", body=b"99 path=a\n"), a_block()]),
        ("wrong length", [a_block(b"p", b"x", body=b"3 path=a\n"), a_block()]),
        ("wrong length", [a_block(b"p", b"x", body=b"0 path=a\n"), a_block()]),
        ("length of a record", [a_block(b"p", b"x", body=b"path=a\n"), a_block()]),
        ("length of a record", [a_block(b"p", b"x", body=b"-9 path=a\n"), a_block()]),
        ("length of a record", [a_block(b"p", b"x", body=b"0000000010 path=abc\n"), a_block()]),
        ("without a key", [a_block(b"p", b"x", body=b"9 patha \n"), a_block()]),
        ("names or sizes every", [pax((b"path", b"a"), flag=b"g"), a_block()]),
        ("names or sizes every", [pax((b"size", b"1"), flag=b"g"), a_block()]),
        ("not here as a whole", [pax((b"GNU.volume.offset", b"1")), a_block()]),
        ("not here as a whole", [pax((b"SCHILY.realsize", b"1")), a_block()]),
        ("unknown character set", [pax((b"hdrcharset", b"EBCDIC")), a_block()]),
        ("behind its end", [a_block(b"l", b"L", body=b"a\0b", gnu=True), a_block()]),
        ("DIRECTORY of 5 bytes", [a_block(b"d/", b"5", 5), bytes(BLOCK)]),
        ("SYMLINK of 5 bytes", [a_block(b"l", b"2", 5), bytes(BLOCK)]),
        ("impossible size", [pax((b"size", b"9999999999999999999")), a_block()]),
        ("owner number", [pax((b"uid", b"4294967295")), a_block()]),
        ("owner number", [checked(a_block()[:108] + b"\x80" + b"\xff" * 7 + a_block()[116:])]),
        ("owner number", [checked(a_block()[:116] + b"\xff" * 8 + a_block()[124:])]),
        ("modification time", [pax((b"mtime", b"1e9")), a_block()]),
        ("modification time", [pax((b"mtime", b"")), a_block()]),
        ("directory's name", [a_block(b"dir/")]),
        ("has type", [a_block(flag=b"S")]),
        ("has type 'D'", [a_block(flag=b"D")]),
        ("unknown rights", [pax((b"SCHILY.acl.access", b"user::rwz")), a_block()]),
        ("another form", [pax((b"SCHILY.acl.access", b"nobody at all")), a_block()]),
        ("mask has a name", [pax((b"SCHILY.acl.access", b"mask:5:rwx")), a_block()]),
        ("unknown user", [pax((b"SCHILY.acl.access", b"user:no-such-user-here:r--")), a_block()]),
        ("impossible number", [pax((b"SCHILY.acl.access", b"user:9999999999:r--")), a_block()]),
    ],
)  # fmt: skip
def test_what_no_tar_program_writes_is_refused(match: str, parts: list[bytes]) -> None:
    """Each broken rule ends in one line that names it."""
    end = b"" if parts[-1] == b"" else END
    with pytest.raises(DataError, match=match) as caught:
        read(b"".join(parts) + end)
    assert "\n" not in caught.value.message


SPARSE = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"s")]
REAL = (b"GNU.sparse.realsize", b"5000")


def mapped(text: bytes, data: bytes = b"", realsize: bytes = b"5000") -> list[bytes]:
    """A sparse file of version 1.0 with any map."""
    body = text + padding(len(text)) + data
    return [pax(*SPARSE, (b"GNU.sparse.realsize", realsize)), a_block(body=body)]


@pytest.mark.parametrize(
    ("match", "parts"),
    [
        ("overlap or leave", mapped(b"1\n4096\n1000\n", b"x" * 1000)),
        ("overlap or leave", mapped(b"2\n512\n512\n0\n512\n", b"x" * 1024)),
        ("overlap or leave", mapped(b"2\n0\n1024\n512\n512\n", b"x" * 1536)),
        ("broken blocks", mapped(b"2\n0\n100\n512\n512\n", b"x" * 612)),
        ("of 512 bytes for 1024", mapped(b"1\n0\n512\n", b"x" * 1024)),
        ("longer than its file", mapped(b"9999\n0\n512\n", b"x" * 512)),
        ("no number", mapped(b"-1\n0\n512\n", b"x" * 512)),
        ("no number", mapped(b"1\n0\n+512\n", b"x" * 512)),
        ("no number", mapped(b"1\n0\n\n", b"")),
        ("no number", mapped(b"x" * 512, b"x" * 512)),
        ("behind its end", mapped(b"1\n0\n512\nmore", b"x" * 512)),
        ("impossible size|no number", mapped(b"1\n0\n512\n", b"x" * 512, b"9" * 19)),
        ("unknown version", [pax((b"GNU.sparse.major", b"2"), SPARSE[1], REAL), a_block()]),
        ("no number", [pax((b"GNU.sparse.map", b"0,0")), a_block()]),
        ("odd end", [pax((b"GNU.sparse.map", b"0,0,5"), (b"GNU.sparse.size", b"9")), a_block()]),
        ("out of step", [pax((b"GNU.sparse.numbytes", b"0"), REAL), a_block()]),
        ("what is no file", [pax(*SPARSE, REAL), a_block(b"d", b"5")]),
    ],
)  # fmt: skip
def test_sparse_maps_that_lie_are_refused(match: str, parts: list[bytes]) -> None:
    """A map ascends, stays within its file and accounts for every byte."""
    refused(match, *parts)


def test_a_map_of_more_numbers_than_a_member_may_have_is_refused() -> None:
    """A map counts as headers, so that it cannot fill the memory."""
    text = b"90000\n" + b"".join(b"%d\n512\n" % (n * 1024) for n in range(90_000))
    refused("headers exceed", *mapped(text, b"", b"9" * 18))


def test_a_global_header_holds_for_what_follows() -> None:
    """Defaults of a global header hold until a member's own records overrule them."""
    data = (
        pax((b"mtime", b"5.5"), (b"comment", b"made by hand"), flag=b"g")
        + a_block(b"a") + pax((b"mtime", b"7")) + a_block(b"b") + a_block(b"c") + END
    )  # fmt: skip

    assert [member.mtime_ns for member, _ in read(data)] == [
        5_500_000_000,
        7 * 10**9,
        5_500_000_000,
    ]


@pytest.mark.parametrize("name", [b"/etc/x", b"../x", b"a/../x", b"..", b"./..", b"/"])
def test_names_that_leave_the_tree_are_refused(name: bytes) -> None:
    """Whichever way a name comes, it stays below the root."""
    kind = DataError if name == b"/" else PathEscape
    ways = [
        [a_block(name, b"2")],
        [pax((b"path", name)), a_block(flag=b"2")],
        [a_block(b"l", b"L", body=name + b"\0", gnu=True), a_block(flag=b"2")],
        [pax((b"GNU.sparse.name", name)), a_block()],
    ]
    for parts in ways:
        refused("leaves the target|no name", *parts, kind=kind)


def test_zero_bytes_without_end_are_refused() -> None:
    """What follows the end mark may fill a record, not go on for ever."""

    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return bytes(size)

    source = Endless()
    with pytest.raises(DataError, match="behind its end mark"):
        list(ArchiveReader(source))
    assert source.given < 2**27


members = st.builds(
    Member,
    st.sampled_from(Kind),
    st.lists(
        st.sampled_from([b"a", b".x", b"..y", b"\xff" * 40, b"z" * 99]), min_size=1, max_size=4
    ).map(b"/".join),
    st.integers(0, 0o7777),
    st.sampled_from([0, 1000, 2**32 - 2]),
    st.sampled_from([0, 8**7 - 1, 8**7]),
    st.just(0),
    st.sampled_from([0, -1, NOW_NS, 5 * 10**9, 10**18, 10**18 - 1, 8**11 * 10**9, 10**21 + 1]),
    st.sampled_from([b"a", b"b/c", b"l" * 101]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(members, max_size=5), st.data())
def test_the_quick_way_agrees_with_the_general_one(
    items: list[Member], data: st.DataObject
) -> None:
    """Whatever the shorter way takes, the general way reads alike, on damaged archives as well."""
    archive = bytearray(archived(*items))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(archive) - 1))
        archive[place] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            start = place - place % BLOCK
            archive[start : start + BLOCK] = checked(bytes(archive[start : start + BLOCK]))

    def outcome() -> object:
        try:
            return read(bytes(archive))
        except BaqupError as error:
            return type(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader.ArchiveReader, "_usual", lambda _: None)
        expected = outcome()
    assert outcome() == expected


def test_the_usual_shape_takes_the_quick_way() -> None:
    """Files, directories and links with nanoseconds are read without the general way."""
    member = Member(Kind.FILE, b"dir/.file", 0o640, 5, 6, 7, NOW_NS)
    data = header(member) + bytes(BLOCK)

    assert QuickParser().member(data, 0) == (member, 3 * BLOCK)
    assert QuickParser().member(header(member._replace(mtime_ns=10**9)) + bytes(2 * BLOCK), 0) == (
        member._replace(mtime_ns=10**9), BLOCK,
    )  # fmt: skip
    assert QuickParser().member(header(member._replace(uid=2**22)) + bytes(BLOCK), 0)[0] is None


def test_a_block_is_parsed_where_it_stands() -> None:
    """A block's fields are those that were written."""
    member = Member(Kind.SYMLINK, b"n", 0o777, 1, 2, 0, 3 * 10**9, b"text")

    block = parse(b"before" + header(member), 6)

    assert (block.flag, block.name, block.link) == (b"2", b"./n", b"text")
    assert (block.mode, block.uid, block.gid, block.mtime_s) == (0o777, 1, 2, 3)

"""The tar stream: its own rules, and GNU tar as the judge of it in both directions."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.errors import DataError
from baqup_agent.security.archive_reader import ArchiveReader
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive import ArchiveWriter
from baqup_agent.staging.archive_header import BLOCK, header
from baqup_agent.staging.archive_sparse import MAX_EXTENTS, regular, sparse_map
from tests.staging.archives import (
    NOW_NS,
    Sink,
    a_file,
    archived,
    bsdtar,
    content_of,
    read,
    tar,
    whole,
)
from tests.trees import picture

LENGTHS = [1, 50, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 155, 200, 253, 254, 255]


@pytest.mark.parametrize("fill", [b"n", b"\xff", "é".encode(), b"\n"])
@pytest.mark.parametrize("length", LENGTHS)
def test_gnu_tar_extracts_names_of_every_length(tmp_path: Path, length: int, fill: bytes) -> None:
    """One component of any length and bytes comes out of GNU tar as it went in."""
    name = (fill * length)[:length]

    tar("-x", "-C", tmp_path, "-f", "-", stdin=archived(a_file(name, b"content")))

    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("total", [*range(90, 112), *range(148, 166), *range(248, 266), 600, 3000])
def test_gnu_tar_extracts_deep_paths_of_every_length(tmp_path: Path, total: int) -> None:
    """Paths around the limits of ustar's two name fields come out of GNU tar as they went in."""
    folders: list[bytes] = []
    while sum(map(len, folders)) + len(folders) + 11 < total:
        folders.append(b"%09d" % len(folders))
    leaf = b"x" * (total - sum(map(len, folders)) - len(folders))
    path = b"/".join([*folders, leaf])
    directories = [
        Member(Kind.DIRECTORY, b"/".join(folders[: depth + 1]), 0o755, mtime_ns=NOW_NS)
        for depth in range(len(folders))
    ]

    tar("-x", "-C", tmp_path, "-f", "-", stdin=archived(*directories, a_file(path, b"deep")))

    found = picture(tmp_path)
    assert len(path) == total
    assert found[path].content == b"deep"
    assert all(found[directory.name].kind == "directory" for directory in directories)


@pytest.mark.parametrize("length", [99, 100, 101, 255, 1000, 4000])
def test_gnu_tar_extracts_link_texts_of_every_length(tmp_path: Path, length: int) -> None:
    """A symbolic link's text comes out of GNU tar as it went in."""
    text = (b"0123456/" * 500)[: length - 1] + b"z"

    tar(
        "-x", "-C", tmp_path, "-f", "-",
        stdin=archived(Member(Kind.SYMLINK, b"link", 0o777, mtime_ns=NOW_NS, link=text)),
    )  # fmt: skip

    assert picture(tmp_path)[b"link"].content == text


@pytest.mark.parametrize("folder", [152, 153, 154, 155])
@pytest.mark.parametrize("leaf", [98, 99, 100, 101])
def test_names_at_the_edge_of_both_fields_are_read(folder: int, leaf: int) -> None:
    """A directory's and a file's name around the 155 and 100 bytes of ustar's fields survive."""
    path = b"d" * folder + b"/" + b"f" * leaf

    assert read(archived(a_file(path, b"x"))) == [a_file(path, b"x")]


@pytest.mark.parametrize("field", ["uid", "gid", "size", "mtime_ns"])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_numbers_at_the_edge_of_their_fields_are_read(field: str, beyond: int) -> None:
    """The greatest number of a fixed field and the next ones survive."""
    edge = {"uid": 8**7, "gid": 8**7, "size": 8**11, "mtime_ns": 8**11 * 10**9}[field]
    member = Member(Kind.FILE, b"f", 0o644, 1, 2, 3, 4)._replace(**{field: edge + beyond})

    assert next(iter(ArchiveReader(io.BytesIO(header(member))))) == member


def test_a_path_cut_behind_a_slash_stays_a_file(tmp_path: Path) -> None:
    """A long path whose 100th byte is a slash is not taken for a directory, even without pax."""
    folder = b"d" * 97
    path = folder + b"/" + b"f" * 150
    assert (b"./" + path)[:100].endswith(b"/")

    blocks = header(Member(Kind.FILE, path))
    assert blocks[-BLOCK:].startswith(b"./" + folder + b"\0")
    data = archived(Member(Kind.DIRECTORY, folder, 0o755), a_file(path, b"a file"))
    tar("-x", "-C", tmp_path, "-f", "-", stdin=data)

    assert picture(tmp_path)[path].content == b"a file"


@pytest.mark.parametrize(
    "mtime_ns",
    [0, 1, -1, -1_500_000_000, NOW_NS, NOW_NS // 10**9 * 10**9, 8**11 * 10**9, -(10**9)],
)
def test_gnu_tar_restores_times_to_the_nanosecond(tmp_path: Path, mtime_ns: int) -> None:
    """Times before 1970, beyond ustar's range and between seconds survive."""
    member = Member(Kind.FILE, b"f", mtime_ns=mtime_ns)
    probe = tmp_path / "probe"
    probe.touch()
    os.utime(probe, ns=(mtime_ns, mtime_ns))

    data = archived((member, b""))
    tar("-x", "--warning=no-timestamp", "-C", tmp_path, "-f", "-", stdin=data)

    # A filesystem may not hold the far future; what it makes of it is the measure.
    assert (tmp_path / "f").lstat().st_mtime_ns == probe.stat().st_mtime_ns
    assert read(archived((member, b"")))[0][0].mtime_ns == mtime_ns


def test_gnu_tar_lists_what_ustar_cannot_hold(tmp_path: Path) -> None:
    """A content of 9 GiB and owner numbers of ten digits are listed in full."""
    size = 9 * 2**30 + 5
    block = header(Member(Kind.FILE, b"big", 0o4755, 3_000_000_000, 2_999_999_999, size, NOW_NS))
    path = tmp_path / "big.tar"
    with path.open("wb") as file:
        file.write(block)
        file.truncate(len(block) + size + -size % BLOCK + 2 * BLOCK)

    listed = tar("-tv", "--numeric-owner", "-f", path).decode()

    assert listed.split() == [
        "-rwsr-xr-x", "3000000000/2999999999", str(size), "2023-11-14", "22:13", "./big",
    ]  # fmt: skip
    with path.open("rb") as file:
        found = next(iter(ArchiveReader(file)))
    assert (found.size, found.uid, found.gid) == (size, 3_000_000_000, 2_999_999_999)


def make_tree(root: Path) -> None:
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "sub" / "file").write_bytes(b"content\n" * 1000)
    (root / "sub" / "none").touch()
    (root / "sub" / "second name").hardlink_to(root / "sub" / "file")
    (root / "link").symlink_to("sub/file")
    (root / "sub" / "dangling").symlink_to("nothing")
    (root / os.fsdecode(b"\xff\n\x01 \xc3\x28")).write_bytes(b"strange name")
    (root / "sub" / ("l" * 200)).write_bytes(b"long")
    (root / "sub" / "tool").write_bytes(b"#!")
    (root / "sub" / "tool").chmod(0o4751)
    (root / "sub" / "deeper").chmod(0o2755)
    for path in (root / "link", root / "sub" / "file", root / "sub" / "deeper", root):
        os.utime(path, ns=(5, NOW_NS), follow_symlinks=False)


@pytest.mark.parametrize("form", ["posix", "gnu", "ustar"])
def test_what_gnu_tar_writes_is_read_as_it_is_on_disk(tmp_path: Path, form: str) -> None:
    """Members of an archive that GNU tar wrote agree with the tree, in each of its formats."""
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(tree)
    if form == "ustar":
        (tree / "sub" / ("l" * 200)).unlink()

    members = read(tar("-c", f"--format={form}", "--numeric-owner", "-C", tree, "."))

    expected = picture(tree)
    assert sorted(member.name or b"." for member, _ in members) == sorted(expected)
    for member, content in members:
        thing = expected[member.name or b"."]
        precision = 1 if form == "posix" else 10**9
        assert member.mode == thing.mode
        assert (member.uid, member.gid) == thing.owner
        assert member.mtime_ns // precision == thing.mtime_ns // precision
        if member.kind is Kind.HARDLINK:
            assert expected[member.link].first_name == thing.first_name
        else:
            assert (member.link if member.kind is Kind.SYMLINK else content) == thing.content


def test_gnu_tar_restores_a_whole_tree(tmp_path: Path) -> None:
    """A tree read by GNU tar, written by us and extracted by GNU tar is the same tree."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    out.mkdir()
    make_tree(tree)
    members = read(tar("-c", "--format=posix", "--numeric-owner", "-C", tree, "."))

    data = archived(*(m if not c else (m, c) for m, c in members))
    tar("-x", "-p", "--numeric-owner", "-C", out, "-f", "-", stdin=data)

    assert picture(out) == picture(tree)


component = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {b"/", b"\0"} & {bytes([byte]) for byte in name} and name not in {b".", b".."}
)
paths = st.lists(component, min_size=1, max_size=12).map(b"/".join)


@st.composite
def members(draw: st.DrawFn) -> tuple[Member, bytes]:
    kind = draw(st.sampled_from(Kind))
    content = draw(st.binary(max_size=2000)) if kind is Kind.FILE else b""
    link = b""
    if kind is Kind.SYMLINK:
        link = draw(st.binary(min_size=1, max_size=300).filter(lambda text: 0 not in text))
    if kind is Kind.HARDLINK:
        link = draw(paths)
    return (
        Member(
            kind,
            draw(paths),
            draw(st.integers(0, 0o7777)),
            draw(st.integers(0, 2**32 - 2)),
            draw(st.integers(0, 2**32 - 2)),
            len(content),
            draw(st.integers(-(10**20), 10**20)),
            link,
        ),
        content,
    )


@settings(max_examples=120, deadline=None)
@given(st.lists(members(), max_size=6))
def test_whatever_is_written_is_read_back(items: list[tuple[Member, bytes]]) -> None:
    """Every member that can exist comes back with every field and byte."""
    data = archived(*(item if item[0].kind is Kind.FILE else item[0] for item in items))

    assert read(data) == items


@settings(max_examples=60, deadline=None)
@given(items=st.lists(members(), min_size=1, max_size=6))
def test_gnu_tar_lists_whatever_is_written(items: list[tuple[Member, bytes]]) -> None:
    """GNU tar reads any stream of ours to its end and finds every name in it."""
    data = archived(*(item if item[0].kind is Kind.FILE else item[0] for item in items))

    listed = tar("-t", "--null", "--quoting-style=literal", "-f", "-", stdin=data)

    expected = b"".join(
        b"./" + member.name + (b"/\n" if member.kind is Kind.DIRECTORY else b"\n")
        for member, _ in items
    )
    assert listed == expected


def added(member: Member, content: bytes) -> tuple[int, bytes, list[int]]:
    """Write one file and a directory behind it: bytes read, the archive, what was told."""
    out, told = Sink(), list[int]()
    archive = ArchiveWriter(out)
    with content_of(content) as fd:
        count = archive.add_file(member, fd, on_bytes=told.append)
    archive.add(Member(Kind.DIRECTORY, b"next"))
    archive.close()
    assert archive.size_bytes == len(out.getvalue())
    return count, out.getvalue(), told


@pytest.mark.parametrize("size", [5, 300_000])
def test_content_that_is_too_long_is_cut(size: int) -> None:
    """A file that grew takes no more room than its header announced."""
    content = bytes(range(1, 251)) * 2000

    count, data, told = added(Member(Kind.FILE, b"grown", size=size), content)

    assert (count, sum(told)) == (size, size)
    assert [content for _, content in read(data)] == [content[:size], b""]


@pytest.mark.parametrize("size", [1000, 200_000])
def test_content_that_is_too_short_is_filled(size: int) -> None:
    """A file that shrank is filled with zero bytes, and the caller is told how much was there."""
    count, data, told = added(Member(Kind.FILE, b"shrunk", size=size), b"abc")

    assert (count, sum(told)) == (3, 3)
    assert read(data)[0][1] == b"abc" + bytes(size - 3)
    assert len(read(data)) == 2


def test_a_file_with_holes_that_shrank_is_filled() -> None:
    """Data that is gone becomes zero bytes, stretch by stretch."""
    extents = ((512, 1024), (8192, 512))
    member = Member(Kind.FILE, b"sparse", size=10_000, extents=extents)

    count, data, _ = added(member, bytes(512) + b"x" * 700)

    (found, stored), (following, _) = read(data)
    assert count == 700
    assert (found, found.extents, following.name) == (member, extents, b"next")
    assert stored == b"x" * 700 + bytes(324 + 512)


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        ((), ()),
        (((0, 512), (1024, 512)), ((0, 512), (1024, 512))),
        (((100, 10),), ((0, 512),)),
        (((500, 100), (1000, 10)), ((0, 1024),)),
        (((0, 512), (512, 512)), ((0, 1024),)),
        (((4096, 5000),), ((4096, 904),)),
        (((4999, 0), (6000, 10)), ()),
    ],
)
def test_stretches_are_widened_to_blocks(
    extents: tuple[tuple[int, int], ...], expected: tuple[tuple[int, int], ...]
) -> None:
    """Stretches of data begin and end with blocks, apart, within the file of 5000 bytes."""
    assert regular(extents, 5000) == expected


def test_data_in_odd_places_is_written_as_both_programs_read_it(tmp_path: Path) -> None:
    """Stretches that fill no blocks are read alike by GNU tar, by bsdtar and by us."""
    content = bytearray(20_000)
    extents = ((700, 100), (5000, 1), (9999, 10_001))
    for offset, length in extents:
        content[offset : offset + length] = b"d" * length
    data = archived(a_file(b"odd", bytes(content), extents=extents))

    tar("-x", "-C", tmp_path, "-f", "-", stdin=data)
    assert (tmp_path / "odd").read_bytes() == content
    (tmp_path / "odd").unlink()
    bsdtar("-x", "-C", tmp_path, "-f", "-", stdin=data)
    assert (tmp_path / "odd").read_bytes() == content
    assert whole(*read(data)[0]) == content


def test_maps_stay_within_what_readers_grant() -> None:
    """A file of very many stretches loses its smallest holes, and can be read back."""
    extents = tuple((n * 4096, 512 * (1 + n % 7)) for n in range(MAX_EXTENTS + 5000))
    size = 2**62
    kept = regular(extents, size)

    assert len(kept) == MAX_EXTENTS
    assert sum(length for _, length in kept) > sum(length for _, length in extents)
    assert (kept[0][0], kept[-1][0] + kept[-1][1]) == (0, extents[-1][0] + extents[-1][1])
    far = tuple((2**62 + n * 1024, 512) for n in range(MAX_EXTENTS))
    member = Member(Kind.FILE, b"f", size=2**63 - 1, extents=far)
    assert next(iter(ArchiveReader(io.BytesIO(header(member))))) == member


def test_a_map_tells_where_the_file_ends() -> None:
    """A hole at the end has an entry without data; a file that ends with data has none."""
    assert sparse_map(((0, 512),), 512).rstrip(b"\0") == b"1\n0\n512\n"
    assert sparse_map(((0, 512),), 900).rstrip(b"\0") == b"2\n0\n512\n900\n0\n"
    assert sparse_map((), 900).rstrip(b"\0") == b"1\n900\n0\n"


def test_a_sparse_file_of_terabytes_travels(tmp_path: Path) -> None:
    """A file of 3 TiB with data at its far end is small in an archive, and GNU tar restores it."""
    size = 3 * 2**40
    with (tmp_path / "big").open("wb") as file:
        try:
            file.truncate(size)
        except OSError:
            pytest.skip("the filesystem of the tests has no files of this size")
        file.seek(size - 512)
        file.write(b"z" * 512)
    member = Member(Kind.FILE, b"big", 0o600, size=size, extents=((size - 512, 512),))
    out = Sink()
    archive = ArchiveWriter(out)
    with (tmp_path / "big").open("rb") as file:
        archive.add_file(member, file.fileno())
    archive.close()

    (tmp_path / "big").unlink()
    tar("-x", "-S", "-C", tmp_path, "-f", "-", stdin=out.getvalue())

    assert read(out.getvalue()) == [(member, b"z" * 512)]
    with (tmp_path / "big").open("rb") as file:
        assert file.seek(0, os.SEEK_END) == size
        assert file.seek(0, os.SEEK_DATA) >= size - 2**20


def test_attributes_beyond_what_readers_grant_are_refused() -> None:
    """Nothing is written that our own reader would not take back."""
    member = Member(Kind.FILE, b"f", xattrs={b"user.%d" % n: bytes(65_536) for n in range(16)})

    with pytest.raises(DataError, match=r"'f' has .* bytes of names and attributes"):
        header(member)

    fewer = member._replace(xattrs=dict(list(member.xattrs.items())[:15]))
    assert read(archived(fewer)) == [(fewer, b"")]


def test_the_stream_ends_with_a_whole_record() -> None:
    """The end mark is two zero blocks, filled up to a record of twenty."""
    data = archived(a_file(b"f", b"x"))

    assert len(data) % (20 * BLOCK) == 0
    assert data.endswith(bytes(2 * BLOCK))


def test_content_is_not_accepted_where_it_has_no_place() -> None:
    """A directory has no content, and content comes through `add_file` only."""
    archive = ArchiveWriter(io.BytesIO())

    with pytest.raises(ValueError, match="DIRECTORY"):
        archive.add_file(Member(Kind.DIRECTORY, b"d"), 0)
    with pytest.raises(ValueError, match="add_file"):
        archive.add(Member(Kind.FILE, b"f", size=1))


def test_contents_are_not_gathered_in_memory() -> None:
    """A file goes from its descriptor to the sink; only headers are held back for a moment."""
    pieces: list[int] = []

    class Counting:
        def write(self, data: bytes, /) -> object:
            return pieces.append(len(data))

        def copy_from_fd(
            self,
            fd: int,
            size: int | None = None,
            *,
            offset: int | None = None,
            on_bytes: Callable[[int], object] | None = None,
        ) -> int:
            return size or 0

    archive = ArchiveWriter(Counting())
    archive.add_file(Member(Kind.FILE, b"f", size=64 * 2**20), 0)
    for number in range(1000):
        archive.add(Member(Kind.FILE, b"%d" % number))
    archive.close()

    assert max(pieces) < 2**17
    assert len(pieces) < 20
    assert sum(pieces) + 64 * 2**20 == archive.size_bytes

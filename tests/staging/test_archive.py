"""The tar stream: its own rules, and GNU tar as the judge of it in both directions."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.security.archive_reader import ArchiveReader
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive import ArchiveWriter
from baqup_agent.staging.archive_header import BLOCK, header
from tests.trees import picture

NOW_NS = 1_700_000_000_123_456_789
TAR = shutil.which("tar")

pytestmark = pytest.mark.skipif(TAR is None, reason="GNU tar, the judge of these tests, is absent")


def archived(*members: tuple[Member, bytes] | Member) -> bytes:
    out = io.BytesIO()
    archive = ArchiveWriter(out)
    for item in members:
        if isinstance(item, Member):
            archive.add(item)
        else:
            member, content = item
            archive.add_file(member, [content])
    archive.close()
    return out.getvalue()


def a_file(name: bytes, content: bytes = b"", **attributes: int) -> tuple[Member, bytes]:
    return Member(Kind.FILE, name, size=len(content), mtime_ns=NOW_NS, **attributes), content


def tar(*arguments: str | bytes | Path, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(
        ["tar", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout


def read(data: bytes) -> list[tuple[Member, bytes]]:
    reader = ArchiveReader(io.BytesIO(data))
    return [(member, b"".join(reader.content())) for member in reader]


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


@settings(max_examples=300, deadline=None)
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


def test_content_that_is_too_long_is_cut() -> None:
    """A file that grew takes no more room than its header announced."""
    member = Member(Kind.FILE, b"grown", size=5)
    out = io.BytesIO()
    archive = ArchiveWriter(out)

    read_bytes = archive.add_file(member, [b"abc", b"defgh", b"never read"])
    archive.add(Member(Kind.DIRECTORY, b"next"))
    archive.close()

    assert read_bytes == 5
    assert [content for _, content in read(out.getvalue())] == [b"abcde", b""]


def test_content_that_is_too_short_is_filled() -> None:
    """A file that shrank is filled with zero bytes, and the caller is told how much was there."""
    size = 200_000
    out = io.BytesIO()
    archive = ArchiveWriter(out)

    read_bytes = archive.add_file(Member(Kind.FILE, b"shrunk", size=size), [b"abc"])
    archive.add(Member(Kind.DIRECTORY, b"next"))
    archive.close()

    assert read_bytes == 3
    assert read(out.getvalue())[0][1] == b"abc" + bytes(size - 3)
    assert len(read(out.getvalue())) == 2


def test_the_stream_ends_with_a_whole_record() -> None:
    """The end mark is two zero blocks, filled up to a record of twenty."""
    data = archived(a_file(b"f", b"x"))

    assert len(data) % (20 * BLOCK) == 0
    assert data.endswith(bytes(2 * BLOCK))


def test_content_is_not_accepted_where_it_has_no_place() -> None:
    """A directory has no content, and content comes through `add_file` only."""
    archive = ArchiveWriter(io.BytesIO())

    with pytest.raises(ValueError, match="DIRECTORY"):
        archive.add_file(Member(Kind.DIRECTORY, b"d"), [])
    with pytest.raises(ValueError, match="add_file"):
        archive.add(Member(Kind.FILE, b"f", size=1))


def test_a_large_file_is_not_gathered_in_memory() -> None:
    """What is written is handed on in pieces while the archive is being made."""
    pieces: list[int] = []

    class Counting:
        def write(self, data: bytes) -> int:
            pieces.append(len(data))
            return len(data)

    archive = ArchiveWriter(Counting())
    archive.add_file(Member(Kind.FILE, b"f", size=64 * 2**20), (bytes(2**20) for _ in range(64)))

    assert max(pieces) < 2 * 2**20
    assert sum(pieces) > 63 * 2**20

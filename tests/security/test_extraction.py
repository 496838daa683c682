"""Safe extraction: hostile archives are refused, and nothing outside the target is touched."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.errors import BaqupError, DataError, IOFailure, LimitExceeded, PathEscape
from baqup_agent.security.extraction import Limits, Selection, extract
from baqup_agent.security.member import Kind, Member
from baqup_agent.staging.archive_header import BLOCK, header, padding
from tests.trees import picture

END = bytes(2 * BLOCK)
NOW_NS = 1_700_000_000_123_456_789
AS_ROOT = os.geteuid() == 0


class Watcher:
    """Keeps what the extraction tells."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.bytes = 0
        self.notes: list[tuple[str, bytes]] = []

    def member(self, member: Member, /) -> None:
        self.members.append(member)

    def data(self, count: int, /) -> None:
        self.bytes += count

    def note(self, code: str, name: bytes, message: str, /) -> None:
        assert "\n" not in message
        self.notes.append((code, name))


def a_directory(name: bytes, mode: int = 0o755) -> bytes:
    return header(Member(Kind.DIRECTORY, name, mode, mtime_ns=NOW_NS))


def a_file(name: bytes, content: bytes = b"", mode: int = 0o644, **attributes: int) -> bytes:
    member = Member(Kind.FILE, name, mode, size=len(content), mtime_ns=NOW_NS, **attributes)
    return header(member) + content + padding(len(content))


def a_link(name: bytes, text: bytes) -> bytes:
    return header(Member(Kind.SYMLINK, name, 0o777, mtime_ns=NOW_NS, link=text))


def a_hardlink(name: bytes, original: bytes) -> bytes:
    return header(Member(Kind.HARDLINK, name, mtime_ns=NOW_NS, link=original))


def checked(block: bytes) -> bytes:
    """Give a tampered header block its right checksum again."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def named(raw: bytes, block: bytes) -> bytes:
    """Put a raw name of at most 100 bytes in a header block."""
    return checked(raw.ljust(100, b"\0") + block[100:BLOCK]) + block[BLOCK:]


def linked(raw: bytes, block: bytes) -> bytes:
    """Put a raw link name of at most 100 bytes in a header block."""
    return checked(block[:157] + raw.ljust(100, b"\0") + block[257:BLOCK]) + block[BLOCK:]


def typed(flag: bytes, block: bytes) -> bytes:
    return checked(block[:156] + flag + block[157:])


def a_block(name: bytes = b"f", flag: bytes = b"0", size: int = 0) -> bytes:
    block = header(Member(Kind.FILE, name))
    return checked(block[:124] + b"%011o\0" % size + block[136:156] + flag + block[157:])


def pax(**records: bytes) -> bytes:
    body = b""
    for key, value in records.items():
        record = b" %b=%b\n" % (key.replace("_", ".").encode(), value)
        length = len(record) + len(str(len(record)))
        length = len(record) + len(str(length))
        body += b"%d%b" % (length, record)
    return a_block(b"pax", b"x", len(body)) + body + padding(len(body))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty directory beside others that nothing may touch."""
    return a_target(tmp_path)


def a_target(base: Path) -> Path:
    outside = base / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"untouched")
    os.utime(outside / "victim", ns=(1, 1))
    os.utime(outside, ns=(2, 2))
    (base / "target").mkdir()
    os.utime(base, ns=(3, 3))
    return base / "target"


@contextmanager
def nothing_outside_changed(target: Path) -> Iterator[None]:
    def look() -> object:
        tree = picture(base)
        links = (base / "outside" / "victim").lstat().st_nlink
        return {name: tree[name] for name in tree if not name.startswith(b"target")}, links

    base = next(place.parent for place in (target, *target.parents) if place.name == "target")

    before = look()
    yield
    assert look() == before


def unpack(
    target: Path,
    *parts: bytes,
    end: bytes = END,
    limits: Limits | None = None,
    owners: bool = False,
) -> Watcher:
    watcher = Watcher()
    root = os.open(target, os.O_RDONLY)
    try:
        with nothing_outside_changed(target):
            extract(io.BytesIO(b"".join(parts) + end), root, watcher, owners=owners, limits=limits)
    finally:
        os.close(root)
    return watcher


def refused(
    error: type[BaqupError], match: str, target: Path, *parts: bytes, end: bytes = END
) -> None:
    with nothing_outside_changed(target), pytest.raises(error, match=match) as caught:
        unpack(target, *parts, end=end)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        b"/outside/victim",
        b"../outside/new",
        b"a/../../outside/new",
        b"..",
        b"./..",
        b"//x",
        b"a/..",
    ],
)
@pytest.mark.parametrize("flag", [b"0", b"2", b"5"])
def test_a_name_out_of_the_target_is_refused(target: Path, name: bytes, flag: bytes) -> None:
    """Absolute names and names with '..' are refused, whatever the member is."""
    member = linked(b"f", typed(flag, a_block()))

    refused(PathEscape, "leaves the target", target, a_directory(b"a"), named(name, member))


def test_a_pax_name_out_of_the_target_is_refused(target: Path) -> None:
    """A name that only the extended header brings is checked like any other."""
    refused(PathEscape, "leaves the target", target, pax(path=b"../outside/new"), a_block())
    refused(PathEscape, "leaves the target", target, pax(GNU_sparse_name=b"/x"), a_block())


def test_nothing_is_written_through_a_link(target: Path) -> None:
    """A file behind a link that the archive brought is refused, the link's place untouched."""
    place = os.fsencode(target.parent / "outside")
    refused(PathEscape, "points out", target, a_link(b"l", place), a_file(b"l/new", b"x"))


@pytest.mark.parametrize(
    "through", [a_file(b"l/new", b"x"), a_directory(b"l/new"), a_link(b"l/new", b"x")]
)
def test_no_member_passes_a_link_inside(target: Path, through: bytes) -> None:
    """Links are not followed on the way to a member, even where they lead inside."""
    refused(DataError, "leads through|not brought", target, a_directory(b"d"), a_link(b"l", b"d"),
            through)  # fmt: skip

    assert not (target / "d" / "new").exists()


def test_a_link_in_the_way_of_a_file_is_not_written_through(target: Path) -> None:
    """A file with the name of an earlier link does not replace what the link leads to."""
    refused(DataError, "occurs twice", target, a_file(b"f", b"1"), a_link(b"l", b"f"), a_file(b"l"))

    assert (target / "f").read_bytes() == b"1"


def test_a_link_that_was_there_before_is_not_followed(target: Path) -> None:
    """Links that somebody else put into the target lead nowhere."""
    (target / "l").symlink_to("../outside")

    refused(PathEscape, "leads through", target, a_file(b"l/new", b"x"))
    refused(DataError, "occurs twice", target, a_directory(b"l"), a_file(b"l/new", b"x"))


@pytest.mark.parametrize(
    "text", [b"/etc/passwd", b"..", b"../outside", b"./../outside", b"..//.././x", b"/"]
)
def test_a_link_out_of_the_target_is_refused(target: Path, text: bytes) -> None:
    """Links that are absolute or climb out of the target are refused before they are made."""
    refused(PathEscape, "points out", target, a_link(b"l", text))

    assert not (target / "l").is_symlink()


def test_links_that_lead_out_together_are_refused(target: Path) -> None:
    """Two links that are harmless alone do not combine to a way out."""
    parts = [
        a_directory(b"x"),
        a_directory(b"x/y"),
        a_link(b"x/y/out", b"up/../outside"),
        a_link(b"x/y/up", b"../.."),
    ]

    refused(PathEscape, "points out", target, *parts)

    assert not (target / "x" / "y" / "out").is_symlink()


def test_links_that_climb_back_inside_are_kept(target: Path) -> None:
    """A text that climbs back over a real directory, or over a link, may stay inside."""
    parts = [
        a_directory(b"x"),
        a_directory(b"x/y"),
        a_link(b"short", b"x/y"),
        a_link(b"l", b"x/y/../f"),
        a_link(b"m", b"short/../f"),
        a_link(b"gone", b"nothing/../f"),
        a_file(b"x/f", b"found"),
    ]

    unpack(target, *parts)

    assert (target / "l").read_bytes() == b"found"
    assert (target / "m").read_bytes() == b"found"
    assert picture(target)[b"gone"].content == b"nothing/../f"


@pytest.mark.parametrize(
    "original", [b"../outside/victim", b"/etc/passwd", b"a/../../outside/victim"]
)
def test_a_hard_link_to_a_file_outside_is_refused(target: Path, original: bytes) -> None:
    """A hard link's target is checked like a member's name."""
    member = linked(original, a_block(b"h", b"1"))

    refused(PathEscape, "leaves the target", target, a_directory(b"a"), member)


def test_a_hard_link_through_a_link_is_refused(target: Path) -> None:
    """A hard link does not reach its file through a link, of the archive or of somebody else."""
    parts = [a_directory(b"d"), a_file(b"d/f", b"x"), a_link(b"l", b"d"), a_link(b"m", b"d/f")]
    (target / "there").symlink_to("d")

    refused(DataError, "not brought", target, *parts, a_hardlink(b"h", b"l/f"))
    refused(PathEscape, "leads through", target, a_hardlink(b"h", b"there/f"))


def test_a_hard_link_to_a_link_is_refused(target: Path) -> None:
    """A hard link stands for a file, never for a link or a directory."""
    (target / "there").symlink_to("f")

    refused(
        DataError, "not brought", target, a_file(b"f"), a_link(b"m", b"f"), a_hardlink(b"h", b"m")
    )
    refused(PathEscape, "no file", target, a_hardlink(b"h", b"there"))
    refused(PathEscape, "no file", target, a_directory(b"d"), a_hardlink(b"h2", b"d"))
    refused(DataError, "stands for the root", target, linked(b"./", a_block(b"h3", b"1")))


@pytest.mark.parametrize("chosen", [False, True], ids=["everything", "a selection"])
def test_a_hard_link_to_what_the_restore_put_there_is_refused(target: Path, chosen: bool) -> None:
    """The file of that name is the restore's own mark, not what the archive means."""
    (target / "mark").write_bytes(b"the restore's own")
    raw = a_file(b"mark", b"archived") + a_hardlink(b"h", b"mark") + END
    selection = Selection(lambda *_: True, lambda: contextlib.nullcontext(io.BytesIO(raw)))
    root = os.open(target, os.O_RDONLY)
    try:
        with nothing_outside_changed(target), pytest.raises(DataError, match="itself uses"):
            extract(
                io.BytesIO(raw),
                root,
                Watcher(),
                owners=False,
                selection=selection if chosen else None,
                reserved=b"mark",
            )
    finally:
        os.close(root)

    assert not (target / "h").exists()
    assert (target / "mark").stat().st_nlink == 1


def test_a_hard_link_to_a_later_file_is_refused(target: Path) -> None:
    """A hard link stands for a file that was written before it."""
    refused(DataError, "not brought before", target, a_hardlink(b"h", b"f"), a_file(b"f"))


@pytest.mark.parametrize(
    "twice",
    [
        (a_file(b"n"), a_file(b"n")),
        (a_file(b"n"), a_directory(b"n")),
        (a_directory(b"n"), a_directory(b"n")),
        (a_directory(b"n"), a_link(b"n", b"x")),
        (a_file(b"n"), a_file(b"f"), a_hardlink(b"n", b"f")),
        (a_directory(b""), a_directory(b"")),
        (a_file(b"n"), named(b".//./n", a_block())),
    ],
    ids=range(7),
)
def test_a_second_member_of_a_name_is_refused(target: Path, twice: tuple[bytes, ...]) -> None:
    """No member replaces or changes another."""
    refused(DataError, "twice", target, *twice)


@pytest.mark.parametrize("flag", [b"3", b"4", b"6", b"S", b"V", b"M", b"Z"])
def test_devices_and_unknown_types_are_refused(target: Path, flag: bytes) -> None:
    """Devices, fifos, sparse members and types that nobody knows are refused."""
    refused(DataError, "type", target, typed(flag, a_block()))

    assert list(target.iterdir()) == []


def test_sparse_members_are_refused(target: Path) -> None:
    """The pax forms of sparse members are refused as well."""
    refused(
        DataError, "sparse", target, pax(GNU_sparse_map=b"0,1", GNU_sparse_size=b"9"), a_block()
    )


def test_a_member_without_its_directory_is_refused(target: Path) -> None:
    """Every directory is in the archive before what it holds."""
    refused(DataError, "not brought before", target, a_file(b"d/f"), a_directory(b"d"))
    refused(PathEscape, "no directory", target, a_file(b"f"), a_file(b"f/g"))


@pytest.mark.parametrize("name", [b"", b"/", b"a\0b"])
def test_a_name_that_is_none_is_refused(target: Path, name: bytes) -> None:
    """Empty names and names with a zero byte are refused."""
    refused(DataError, "no name", target, pax(path=name), typed(b"5", a_block()))


def test_a_root_that_is_no_directory_is_refused(target: Path) -> None:
    """The archive's root can only be a directory."""
    refused(DataError, "root is a FILE", target, named(b"./", a_block()))


@pytest.mark.parametrize("text", [b"", b"a\0b"])
def test_a_link_without_a_text_is_refused(target: Path, text: bytes) -> None:
    """Empty texts and texts with a zero byte are refused."""
    refused(DataError, "empty text", target, pax(linkpath=text), typed(b"2", a_block()))


def test_names_longer_than_the_system_allows_are_refused(target: Path) -> None:
    """A component of 256 bytes is bad data, not an I/O error."""
    refused(DataError, "longer than", target, a_file(b"n" * 256))
    refused(DataError, "longer than", target, a_link(b"l", b"n" * 5000))


@pytest.mark.parametrize("size", [2**20 + 1, 2**32, 8**11 - 1])
@pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
def test_absurd_extended_headers_are_refused(target: Path, flag: bytes, size: int) -> None:
    """An extended header that asks for more than a member can need is not even read."""

    class Endless(io.RawIOBase):
        given = 0

        def read(self, count: int = -1, /) -> bytes:
            data = (
                (a_block(b"h", flag, size) + bytes(count))[:count]
                if not self.given
                else bytes(count)
            )
            self.given += count
            return data

    source = Endless()
    root = os.open(target, os.O_RDONLY)
    try:
        with pytest.raises(DataError, match="headers exceed"):
            extract(source, root, Watcher(), owners=False)
    finally:
        os.close(root)
    assert source.given <= 2 * 2**20


def test_endless_chains_of_headers_are_refused(target: Path) -> None:
    """Extended headers about extended headers end the extraction, not the process."""
    refused(DataError, "read as tar|headers exceed", target, *[pax(path=b"x")] * 5000, a_block())


@pytest.mark.parametrize("key", ["size", "uid", "gid", "mtime"])
@pytest.mark.parametrize("value", [b"-1", b"99999999999999999999999", b"x", b"nan", b"1e999", b""])
def test_absurd_numbers_do_no_harm(target: Path, key: str, value: bytes) -> None:
    """Whatever numbers say, the answer is an error of bad data or a file of no content."""
    try:
        unpack(target, pax(**{key: value}), a_block())
    except DataError:
        return
    assert (target / "f").read_bytes() == b""


@pytest.mark.parametrize("key", ["uid", "gid"])
@pytest.mark.parametrize("value", [b"-1", b"4294967295"])
def test_owners_that_no_system_has_are_refused(target: Path, key: str, value: bytes) -> None:
    """An owner number that would mean "leave it as it is" is refused."""
    refused(DataError, "owner number", target, pax(**{key: value}), a_block())


def test_a_negative_size_is_refused(target: Path) -> None:
    """A size that leads backwards is refused."""
    block = a_block()
    backwards = checked(block[:124] + b"\xff" * 12 + block[136:])

    refused(DataError, "damaged", target, a_file(b"before", b"x" * 600), backwards)


@pytest.mark.parametrize("cut", range(0, 4 * BLOCK + 300, 100))
def test_an_archive_cut_anywhere_is_refused(target: Path, cut: int) -> None:
    """Without its end mark no archive passes for a whole one."""
    whole = a_file(b"a", b"x" * 700) + a_file(b"b")
    refused(DataError, ".", target, whole[:cut], end=b"")


@pytest.mark.parametrize("position", [0, 100, 148, 156, 257, 345, 500])
def test_a_damaged_header_does_not_end_the_archive_silently(target: Path, position: int) -> None:
    """A damaged header in mid-stream is an error, not the archive's end."""
    damaged = bytearray(a_file(b"b"))
    damaged[position] ^= 0x20

    refused(DataError, "damaged", target, a_file(b"a"), bytes(damaged), a_file(b"c"))


def test_what_hides_behind_the_end_mark_is_refused(target: Path) -> None:
    """An archive appended to an archive is not passed over in silence."""
    refused(DataError, "behind its end mark", target, a_file(b"a"), END, bytes(5000), a_file(b"b"))


def test_what_hides_behind_an_end_mark_at_the_start_is_refused(target: Path) -> None:
    """An archive that begins with its end has no members."""
    refused(DataError, "behind its end mark", target, bytes(BLOCK), a_file(b"a"))

    assert list(target.iterdir()) == []


def test_a_file_cut_in_the_middle_is_told_as_that(target: Path) -> None:
    """When the content ends early, the error says so."""
    refused(DataError, "in the middle of a file", target, a_file(b"a", b"x" * 700)[:-600], end=b"")


def test_limits_hold(target: Path) -> None:
    """More files, depth or bytes than allowed end the extraction."""
    parts = [a_directory(b"d"), a_directory(b"d/e"), a_file(b"d/e/f", b"12345"), a_file(b"g")]
    cases = [Limits(max_files=1), Limits(max_depth=2), Limits(max_bytes=4)]
    for number, limits in enumerate(cases):
        place = target / str(number)
        place.mkdir()
        with pytest.raises(LimitExceeded, match="more than"):
            unpack(place, *parts, limits=limits)

    inside = target / "inside"
    inside.mkdir()
    unpack(inside, *parts, limits=Limits(max_files=2, max_depth=3, max_bytes=5))
    assert (inside / "d" / "e" / "f").read_bytes() == b"12345"


def test_an_honest_archive_is_written_to_the_last_attribute(target: Path) -> None:
    """Modes, times and contents of everything are those of the archive, the root's too."""
    parts = [
        a_directory(b"", 0o751),
        a_directory(b"d", 0o500),
        a_file(b"d/f", b"content", 0o400),
        a_hardlink(b"d/h", b"d/f"),
        a_link(b"l", b"d/f"),
        a_file(b"\xff\n", b"", 0o444),
    ]

    watcher = unpack(target, *parts)

    found = picture(target)
    assert found[b"."].mode == 0o751
    assert found[b"d"].mode == 0o500
    assert (found[b"d/f"].mode, found[b"d/f"].content) == (0o400, b"content")
    assert found[b"d/h"].first_name == b"d/f"
    assert found[b"l"].content == b"d/f"
    assert found[b"\xff\n"].mode == 0o444
    assert {thing.mtime_ns for thing in found.values()} == {NOW_NS}
    assert [member.name for member in watcher.members] == [
        b"",
        b"d",
        b"d/f",
        b"d/h",
        b"l",
        b"\xff\n",
    ]
    assert watcher.bytes == len(b"content")
    assert watcher.notes == []
    (target / "d").chmod(0o700)


def test_a_directory_deeper_than_descriptors_last(target: Path) -> None:
    """A tree of 300 levels is written and finished with no more than 80 descriptors."""
    names = [b"/".join([b"d"] * depth) for depth in range(1, 301)]
    parts = [a_directory(name, 0o700) for name in names]
    files = [a_file(name + b"/f", name) for name in (names[0], names[299], names[5], names[200])]

    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 80, hard))
    try:
        unpack(target, *parts, *files)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    deepest = target.joinpath(*["d"] * 300)
    assert (deepest / "f").read_bytes() == names[299]
    assert deepest.stat().st_mtime_ns == NOW_NS
    assert (target / "d").stat().st_mtime_ns == NOW_NS
    assert len(open_descriptors()) == len(before)


def open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  names, not paths


def test_a_directory_swapped_for_a_link_lets_nothing_out(target: Path) -> None:
    """While somebody swaps directories for links to outside, every file stays in the target."""
    outside = target.parent / "outside"
    done = threading.Event()

    def swap() -> None:
        place, aside = target / "d", target / "aside"
        while not done.is_set():
            place.rename(aside)
            place.symlink_to(outside)
            for _ in range(50):
                place.is_symlink()
            place.unlink()
            aside.rename(place)
            for _ in range(50):
                place.is_symlink()

    for folder in ("d", "e"):
        (target / folder).mkdir()
    root = os.open(target, os.O_RDONLY)
    swapper = threading.Thread(target=swap)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # the two shall meet often
    swapper.start()
    written = refused = 0
    deadline_s = time.monotonic() + 30
    try:
        while min(written, refused) < 20 and time.monotonic() < deadline_s:
            names = (b"%b/%d.%d" % (folder, written, refused) for folder in (b"d", b"e"))
            try:
                archive = b"".join(map(a_file, names)) + END
                extract(io.BytesIO(archive), root, Watcher(), owners=False)
                written += 1
            except BaqupError:
                refused += 1
    finally:
        done.set()
        swapper.join()
        sys.setswitchinterval(interval_s)
        os.close(root)

    assert min(written, refused) >= 20
    assert [path.name for path in outside.iterdir()] == ["victim"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_owners_are_restored_by_number(target: Path) -> None:
    """With owners, everything belongs to the recorded numbers, and set-id bits are kept."""
    owned = {"uid": 54321, "gid": 12345}
    parts = [
        header(Member(Kind.DIRECTORY, b"d", 0o2755, **owned)),
        a_file(b"d/f", b"", 0o6755, **owned),
        header(Member(Kind.SYMLINK, b"d/l", 0o777, link=b"f", **owned)),
    ]

    unpack(target, *parts, owners=True)

    found = picture(target)
    assert {found[name].owner for name in (b"d", b"d/f", b"d/l")} == {(54321, 12345)}
    assert found[b"d"].mode == 0o2755
    assert found[b"d/f"].mode == 0o6755


@pytest.mark.parametrize("owners", [False, True])
def test_set_id_bits_come_with_their_owner_only(target: Path, owners: bool) -> None:
    """Unless owners are asked for, set-id bits are cleared, even of our own files, and told."""
    own = {"uid": os.geteuid(), "gid": os.getegid()}
    parts = [a_file(b"f", b"", 0o6755, **own), header(Member(Kind.DIRECTORY, b"d", 0o2755, **own))]

    watcher = unpack(target, *parts, owners=owners)

    modes = [stat.S_IMODE((target / name).stat().st_mode) for name in "fd"]
    assert modes == ([0o6755, 0o2755] if owners else [0o755, 0o755])
    cleared = [("SET_ID_CLEARED", b"f"), ("SET_ID_CLEARED", b"d")]
    assert watcher.notes == ([] if owners else cleared)


def test_a_refused_owner_is_told_and_does_not_end_the_extraction(target: Path) -> None:
    """Where the system refuses to give a file away, the file stays ours and a note tells it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fchown", refuse)
        patch.setattr(os, "chown", refuse)
        theirs = {"uid": os.geteuid() + 1, "gid": os.getegid() + 1}
        link = header(Member(Kind.SYMLINK, b"l", 0o777, link=b"f", **theirs))
        watcher = unpack(target, a_file(b"f", b"x", 0o4755, **theirs), link, owners=True)

    assert (target / "f").read_bytes() == b"x"
    assert stat.S_IMODE((target / "f").stat().st_mode) == 0o755
    assert watcher.notes == [
        ("OWNER_NOT_RESTORED", b"f"),
        ("SET_ID_CLEARED", b"f"),
        ("OWNER_NOT_RESTORED", b"l"),
    ]


def test_a_root_that_is_not_ours_keeps_its_own_mode(target: Path) -> None:
    """Only the root's own attributes may be refused: it can be a volume of somebody else."""

    def refuse(fd: int, mode: int) -> None:
        if os.path.samestat(os.fstat(fd), target.stat()):
            raise PermissionError(1, "Operation not permitted")
        keep(fd, mode)

    keep = os.fchmod
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fchmod", refuse)
        watcher = unpack(target, a_directory(b"", 0o700), a_directory(b"d", 0o711))

    assert watcher.notes == [("PERMISSION_DENIED", b"")]
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o711


def test_a_directory_whose_mode_cannot_be_set_is_an_io_failure(target: Path) -> None:
    """Below the root, attributes that cannot be set are not passed over."""

    def refuse(_fd: int, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fchmod", refuse)
        refused(IOFailure, "'d' cannot be written: Operation", target, a_directory(b"d"))


def test_closed_directories_are_written_by_an_ordinary_user(target: Path) -> None:
    """Directories that even their owner may not enter get their modes when all is in them."""
    parts = [a_directory(b"d", 0), a_directory(b"d/e", 0o100), a_file(b"d/e/f", b"x", 0)]
    root = os.open(target, os.O_RDONLY)
    source = io.BytesIO(b"".join(parts) + END)
    if AS_ROOT:
        os.chown(target, 12345, 12345)
        os.seteuid(12345)
    try:
        extract(source, root, Watcher(), owners=False)
        found = os.stat("d", dir_fd=root)
        os.chmod("d", 0o700, dir_fd=root)
        inner = os.stat("d/e", dir_fd=root)
        os.chmod("d/e", 0o700, dir_fd=root)
        file = os.stat("d/e/f", dir_fd=root)
    finally:
        if AS_ROOT:
            os.seteuid(0)
        os.close(root)

    assert [stat.S_IMODE(each.st_mode) for each in (found, inner, file)] == [0, 0o100, 0]
    assert {each.st_mtime_ns for each in (found, inner, file)} == {NOW_NS}


def test_a_full_disk_is_an_io_failure(target: Path) -> None:
    """What the system cannot write is told as an I/O failure that names the file."""

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", full)
        refused(IOFailure, "'f' cannot be written: No space", target, a_file(b"f", b"x"))


def test_short_writes_are_completed(target: Path) -> None:
    """A write that takes only some bytes is continued where it stopped."""
    write = os.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))
        unpack(target, a_file(b"f", b"0123456789"))

    assert (target / "f").read_bytes() == b"0123456789"


def test_an_unreadable_archive_is_an_io_failure(target: Path) -> None:
    """An error of the disk that holds the archive is not blamed on a member."""

    class Broken:
        def read(self, _size: int, /) -> bytes:
            raise OSError(5, "Input/output error")

    root = os.open(target, os.O_RDONLY)
    try:
        with pytest.raises(IOFailure, match="the archive cannot be read"):
            extract(Broken(), root, Watcher(), owners=False)
    finally:
        os.close(root)


leaves = st.sampled_from([b"a", b"b", b"c", b"d"])
parts_of_texts = st.sampled_from([b"a", b"b", b"c", b"d", b"..", b"..", b".", b"", b"nothing"])
texts = st.lists(parts_of_texts, min_size=1, max_size=6).map(b"/".join)


@st.composite
def webs_of_links(draw: st.DrawFn) -> list[bytes]:
    """Directories three deep and links all over them, in any order that directories allow."""
    folders = [b"", *draw(st.lists(st.sampled_from(DIRECTORIES), unique=True))]
    folders = [f for f in folders if f.rpartition(b"/")[0] in folders]
    folders.sort(key=len)
    parts = [a_directory(folder) for folder in folders]
    names = st.tuples(st.sampled_from(folders), leaves).map(
        lambda pair: b"/".join(filter(None, pair))
    )
    wanted = draw(st.dictionaries(names, texts, max_size=10))
    links = [a_link(name, text) for name, text in wanted.items() if name not in folders and text]
    return parts + links


DIRECTORIES = [b"a", b"b", b"a/a", b"a/b", b"b/a", b"a/a/a", b"a/a/b", b"b/a/c"]


@settings(max_examples=400, deadline=None)
@given(parts=webs_of_links())
def test_no_web_of_links_leads_out(
    parts: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever links an archive brings, after a successful extraction none leads out."""
    target = a_target(tmp_path_factory.mktemp("web"))
    try:
        unpack(target, *parts)
    except DataError:
        return
    for name, thing in picture(target).items():
        if thing.kind == "link":
            place = kernels_answer(target / os.fsdecode(name))
            assert place is None or place.is_relative_to(target.resolve()), name


def kernels_answer(path: Path) -> Path | None:
    """Return where a path leads, None if the kernel says that it leads nowhere."""
    try:
        fd = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{fd}").readlink()
    finally:
        os.close(fd)

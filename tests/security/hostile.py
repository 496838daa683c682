"""Archives made to do harm, each packed by hand: no tar program writes them.

A shape is known by the attack that it stands for. Where one became known by a number, the number
is given; the shapes are our own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from baqup_agent.errors import BaqupError, DataError, LimitExceeded, PathEscape
from baqup_agent.security.caps import Limits

BLOCK = 512
END = bytes(2 * BLOCK)

#: A number in a header: an integer is written in octal, bytes stand as they are.
Number = int | bytes

#: The largest count of members or bytes that a test waits for.
MANY = 1_000_000


def block(  # noqa: PLR0913  one argument for each field
    name: bytes = b"f",
    flag: bytes = b"0",
    *,
    size: Number = 0,
    link: bytes = b"",
    mode: Number = 0o644,
    uid: Number = 0,
    gid: Number = 0,
    mtime: Number = 1_700_000_000,
    magic: bytes = b"ustar\x0000",
    device: bytes = b"",
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """Pack a header block."""
    parts = (
        name.ljust(100, b"\0"),
        _number(mode, 8),
        _number(uid, 8),
        _number(gid, 8),
        _number(size, 12),
        _number(mtime, 12),
        b" " * 8,
        flag,
        link.ljust(100, b"\0"),
        magic,
        bytes(64),
        device.ljust(16, b"\0"),
        prefix.ljust(155, b"\0"),
        bytes(12),
    )
    raw = b"".join(parts)
    assert len(raw) == BLOCK
    stated = b"%06o\0 " % sum(raw) if checksum is None else checksum
    return raw[:148] + stated + raw[156:]


def _number(value: Number, width: int) -> bytes:
    return value if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int = 12) -> bytes:
    """Write a number in GNU tar's binary form, negative ones too."""
    if value < 0:
        return b"\xff" + (value % 256 ** (width - 1)).to_bytes(width - 1, "big")
    return b"\x80" + value.to_bytes(width - 1, "big")


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def file(name: bytes, content: bytes = b"", **fields: Number) -> bytes:
    return block(name, size=len(content), **fields) + padded(content)  # type: ignore[arg-type]


def folder(name: bytes, mode: int = 0o755) -> bytes:
    return block(name, b"5", mode=mode)


def symlink(name: bytes, text: bytes) -> bytes:
    return block(name, b"2", link=text)


def hardlink(name: bytes, original: bytes) -> bytes:
    return block(name, b"1", link=original)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + len(b"%d" % len(rest))
    length = len(rest) + len(b"%d" % length)
    return b"%d%b" % (length, rest)


def raw_pax(body: bytes, flag: bytes = b"x") -> bytes:
    return block(b"pax", flag, size=len(body)) + padded(body)


def pax(*records: tuple[bytes, bytes], flag: bytes = b"x") -> bytes:
    return raw_pax(b"".join(record(key, value) for key, value in records), flag)


def long_name(name: bytes, flag: bytes = b"L") -> bytes:
    return block(b"././@LongLink", flag, size=len(name) + 1) + padded(name + b"\0")


def sparse(*pairs: tuple[int, int], size: int, content: bytes = b"", **more: bytes) -> bytes:
    """A file with holes in the form of pax 1.0."""
    numbers = b"".join(b"%d\n" % each for each in (len(pairs), *itertools.chain(*pairs)))
    table = padded(numbers)
    header = pax(
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", more.get("name", b"f")),
        (b"GNU.sparse.realsize", more.get("realsize", b"%d" % size)),
    )
    body = table + content
    return header + block(b"GNUSparseFile.0/f", size=len(body)) + padded(body)


class Hostile(NamedTuple):
    """An archive that must do no harm.

    Attributes:
        name: of the attack.
        make: gives the archive's bytes, piece by piece; possibly without end.
        error: what its extraction ends in; None where it is harmless once extracted by our rules.
        says: a pattern that the error's line matches.
        limits: under which it is extracted.
    """

    name: str
    make: Callable[[], Iterable[bytes]]
    error: type[BaqupError] | None
    says: str = ""
    limits: Limits = Limits()


def whole(*parts: bytes) -> Callable[[], Iterable[bytes]]:
    """An archive of these parts, with its end."""
    return lambda: (*parts, END)


def cut(*parts: bytes) -> Callable[[], Iterable[bytes]]:
    """An archive of these parts, without its end."""
    return lambda: parts


def endless(start: bytes, again: bytes) -> Callable[[], Iterable[bytes]]:
    """An archive that never ends."""
    many = again * (1 + 65536 // len(again))
    return lambda: itertools.chain((start,), itertools.repeat(many))


def numbered(part: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """An archive of a million members and one."""
    return lambda: (part(number) for number in range(MANY + 1))


LONG = b"/".join([b"d" * 247] * 16)


def past_path_max() -> tuple[bytes, ...]:
    """Directories so deep that looking a link's text up as a path fails (CVE-2025-4517)."""
    names = [b"/".join([b"d" * 247] * depth) for depth in range(1, 17)]
    folders = [pax((b"path", name)) + folder(b"d") for name in names]
    links = [
        pax((b"path", name + b"/" + bytes([97 + depth])), (b"linkpath", b"d" * 247))
        + symlink(b"l", b"d")
        for depth, name in enumerate(names[:-1])
    ]
    way_back = b"/".join([b".."] * 16)
    escape = pax((b"path", LONG + b"/up"), (b"linkpath", way_back)) + symlink(b"l", b"u")
    out = pax((b"path", b"out"), (b"linkpath", LONG + b"/up/../outside")) + symlink(b"o", b"o")
    return (*folders, *links, escape, out, file(b"out/new", b"x"))


ESCAPES = [
    *(
        Hostile(f"a name out of the target: {name!r}", whole(folder(b"a"), file(name, b"x")),
                PathEscape, "leaves the target")
        for name in (
            b"../outside/new", b"/outside/new", b"//outside/new", b"a/../../outside/new",
            b"./../outside/new", b"..", b"a/..", b"a/b/../../../outside/victim", b"etc/..",
            b"etc/motd/../etc/shadow",  # CVE-2016-6321
        )
    ),
    Hostile("a prefix that climbs", whole(block(b"new", prefix=b"../outside")),
            PathEscape, "leaves the target"),
    Hostile("a directory out of the target", whole(folder(b"../outside/d")),
            PathEscape, "leaves the target"),
    Hostile("a pax name that climbs", whole(pax((b"path", b"../outside/new")), file(b"f")),
            PathEscape, "leaves the target"),
    Hostile("a long name that climbs", whole(long_name(b"../outside/new"), file(b"f")),
            PathEscape, "leaves the target"),
    Hostile("a sparse name that climbs", whole(sparse((0, 1), size=1, content=b"x",
            name=b"../outside/new")), PathEscape, "leaves the target"),
    Hostile("a global name that climbs",
            whole(pax((b"path", b"../outside/new"), flag=b"g"), file(b"f")),
                DataError, "global header"),
    Hostile("a name that goes on behind a zero byte",
            whole(pax((b"path", b"a\0/../../outside/new")), file(b"f")), DataError, "no name|zero"),
    Hostile("a long name that goes on behind its end",
            whole(long_name(b"a\0../../outside/new"), file(b"f")), DataError, "behind its end"),
    *(
        Hostile(f"a file named {name!r}", whole(pax((b"path", name)), file(b"f")), DataError,
                "no name|root is a FILE|name")
        for name in (b"", b".", b"./.", b"/", b"./")
    ),
]  # fmt: skip

LINKS = [
    *(
        Hostile(f"a link out of the target: {text!r}", whole(symlink(b"l", text)),
                PathEscape, "points out")
        for text in (b"/", b"/etc/passwd", b"..", b"../outside", b"./.././outside", b"..//..")
    ),
    Hostile("a link without a text", whole(block(b"l", b"2")), DataError, "empty text"),
    Hostile("a link, and a file through it (CVE-2007-4559)",
            whole(symlink(b"l", b"../outside"), file(b"l/new", b"x")), PathEscape, "points out"),
    Hostile("a link inside, and a file through it",
            whole(folder(b"d"), symlink(b"l", b"d"), file(b"l/new", b"x")),
            DataError, "not brought before"),
    Hostile("a directory through a link", whole(symlink(b"l", b"."), folder(b"l/d")),
            DataError, "not brought before"),
    Hostile("a directory replaced by a link, then written to (CVE-2021-32803)",
            whole(folder(b"d"), symlink(b"d", b"e"), file(b"d/new", b"x")),
            DataError, "occurs twice"),
    Hostile("a link replaced by a directory, whose mode goes to the link's place (CVE-2024-12718)",
            whole(symlink(b"d", b"."), folder(b"d", 0o777)), DataError, "occurs twice"),
    Hostile("a file in a link's place", whole(file(b"f", b"1"), symlink(b"l", b"f"),
            file(b"l", b"2")), DataError, "occurs twice"),
    Hostile("links that lead out together (CVE-2025-4330)",
            whole(folder(b"x"), folder(b"x/y"), symlink(b"x/y/up", b"../.."),
                  symlink(b"out", b"x/y/up/../outside")), PathEscape, "points out"),
    Hostile("a chain of links that climbs step by step",
            whole(folder(b"a"), folder(b"a/b"), folder(b"a/b/c"), symlink(b"a/b/c/1", b"../.."),
                  symlink(b"a/2", b"b/c/1/.."), symlink(b"3", b"a/2/../outside")),
            PathEscape, "points out"),
    Hostile("a link to the way back of a deep path",
            whole(folder(b"a"), folder(b"a/b"), symlink(b"a/b/l", b"../../..")),
            PathEscape, "points out"),
    Hostile("links in a circle that climbs",
            whole(symlink(b"a", b"b/../.."), symlink(b"b", b"a/../..")), PathEscape, "points out"),
    Hostile("a path longer than the system resolves (CVE-2025-4517)",
            lambda: (*past_path_max(), END), DataError, "not brought before"),
    Hostile("a link of 5000 bytes", whole(pax((b"linkpath", b"n" * 5000)), symlink(b"l", b"n")),
            DataError, "longer than"),
    *(
        Hostile(f"a hard link to {name!r}", whole(folder(b"a"), hardlink(b"h", name)), PathEscape,
                "leaves the target")
        for name in (b"../outside/victim", b"/etc/passwd", b"a/../../outside/victim", b"..")
    ),
    Hostile("a hard link to a link to outside (CVE-2025-4138)",
            whole(symlink(b"l", b"../outside/victim"), hardlink(b"h", b"l")),
            PathEscape, "points out"),
    Hostile("a hard link to a link", whole(file(b"f"), symlink(b"l", b"f"), hardlink(b"h", b"l")),
            DataError, "not brought before"),
    Hostile("a hard link through a link",
            whole(folder(b"d"), file(b"d/f"), symlink(b"l", b"d"), hardlink(b"h", b"l/f")),
            DataError, "not brought before"),
    Hostile("a hard link, then written through",
            whole(file(b"f", b"1"), hardlink(b"h", b"f"), file(b"h", b"2")),
            DataError, "occurs twice"),
    Hostile("a hard link to a directory", whole(folder(b"d"), hardlink(b"h", b"d")),
            PathEscape, "no file"),
    Hostile("a hard link to the root", whole(hardlink(b"h", b"./")), DataError, "root"),
    Hostile("a hard link to itself", whole(hardlink(b"h", b"h")), DataError, "not brought before"),
    Hostile("a hard link to a later file", whole(hardlink(b"h", b"f"), file(b"f")),
            DataError, "not brought before"),
]  # fmt: skip

GAMES = [
    Hostile("a file twice", whole(file(b"n", b"1"), file(b"n", b"2")), DataError, "twice"),
    Hostile("a file twice under two spellings", whole(file(b"n"), file(b".//./n")),
            DataError, "twice"),
    Hostile("a directory twice", whole(folder(b"n"), folder(b"n", 0o777)), DataError, "twice"),
    Hostile("a file where a directory is", whole(folder(b"n"), file(b"n")), DataError, "twice"),
    Hostile("a directory where a file is", whole(file(b"n"), folder(b"n")), DataError, "twice"),
    Hostile("a file in a file", whole(file(b"n"), file(b"n/f")), PathEscape, "no directory"),
    Hostile("the root twice", whole(folder(b"./"), folder(b".", 0o777)), DataError, "twice"),
    Hostile("a link for the root", whole(symlink(b"./", b"x")), DataError, "root"),
    Hostile("a file without its directory", whole(file(b"d/f")), DataError, "not brought before"),
    Hostile("names that differ in case alone",
            whole(folder(b"A"), symlink(b"a", b"."), file(b"A/f", b"x")), None),
    Hostile("names that differ in composition alone (CVE-2021-37701)",
            whole(folder("é".encode()), symlink("e\u0301".encode(), b"."),
                  file("é/f".encode(), b"x")), None),
    Hostile("a name with a backslash (CVE-2021-37712)",
            whole(folder(b"a"), symlink(b"a\\f", b"."), file(b"a/f", b"x")), None),
    Hostile("a name with control characters", whole(file(b"\x1b[2J\n\r", b"x")), None),
    Hostile("a component of 256 bytes", whole(pax((b"path", b"n" * 256)), file(b"f")),
            DataError, "longer than"),
    *(
        Hostile(f"a member of type {flag!r}",
                whole(block(b"n", flag, device=b"0000001\x000000003")), DataError, "type")
        for flag in (b"3", b"4", b"6", b"V", b"M", b"D", b"N", b"Z", b"\xff", b"A", b"8")
    ),
]  # fmt: skip

NUMBERS = [
    *(
        Hostile(f"a size of {size!r}", cut(block(size=size), bytes(BLOCK)),
            DataError, "a negative size|an impossible size|not octal|middle of a file")
        for size in (
            base256(-1), base256(-512), base256(2**63), base256(2**64 - 1), base256(2**80),
            b"-0000000001\0", b"77777777777\0", b"99999999999\0", b"xxxxxxxxxxx\0",
            b"1 1 1 1 1 1\0", base256(-(2**64)),  # CVE-2025-8194
        )
    ),
    *(
        Hostile(f"a pax size of {size[:40]!r}", whole(pax((b"size", size)), block(), bytes(BLOCK)),
                DataError, "an impossible size|size that is no whole number")
        for size in (b"-1", b"-512", b"9" * 30, b"x", b"1e9", b"0x10", b" 1", b"1_0", b"9" * 5000)
    ),
    *(
        Hostile(f"an owner of {uid!r}", whole(pax((b"uid", uid)), block()),
            DataError, "owner number|uid that is no")
        for uid in (b"-1", b"4294967295", b"4294967296", b"9" * 30, b"x")
    ),
    *(
        Hostile(f"a time of {mtime!r}", whole(pax((b"mtime", mtime)), block()),
            DataError, "modification time")
        for mtime in (b"nan", b"inf", b"1e999", b"x", b"--1", b"9" * 40, b"1.2.3", b"-")
    ),
    Hostile("a negative owner", whole(block(uid=base256(-2, 8))), DataError, "owner number -2"),
    Hostile("a mode of 8 sevens", whole(block(mode=b"77777777")), None),
    Hostile("a checksum that is wrong", whole(file(b"a"), block(checksum=b"000000\0 "), file(b"b")),
            DataError, "damaged"),
    Hostile("a checksum that is none", whole(file(b"a"), block(checksum=b"zzzzzz\0 ")),
            DataError, "damaged"),
    Hostile("a checksum of spaces", whole(file(b"a"), block(checksum=b" " * 8)),
            DataError, "damaged"),
    *(
        Hostile(f"an archive cut at {at}", cut((file(b"a", b"x" * 700) + file(b"b"))[:at]),
                DataError, "no end mark|half a header|middle of a file")
        for at in (0, 1, 100, 511, 512, 513, 1000, 1211, 1212, 1536, 1537, 2047, 2048)
    ),
    Hostile("an archive behind an archive", whole(file(b"a"), END, file(b"b")), DataError,
            "behind its end mark"),
    Hostile("not an archive at all", cut(bytes(range(256)) * 40),
        DataError, "mark of ustar|checksum"),
]  # fmt: skip

_KEYS = [b"SCHILY.xattr.user.a%d" % number for number in range(3)]

BOMBS = [
    Hostile("a file of 8 EiB that is not there", cut(pax((b"size", b"%d" % (2**63 - 1))), block(),
            bytes(4 * BLOCK)), DataError, "middle of a file"),
    Hostile("a file of 8 GiB that is not there", cut(block(size=8**11 - 1), bytes(4 * BLOCK)),
            DataError, "middle of a file"),
    Hostile("a million files", numbered(lambda n: block(b"%d" % n)), LimitExceeded,
            "BAQUP_SOURCE_MAX_FILES", Limits(max_files=1000)),
    Hostile("a million directories", numbered(lambda n: folder(b"%d" % n)), LimitExceeded,
            "BAQUP_TARGET_MAX_ENTRIES", Limits(max_entries=1000)),
    Hostile("a million links", numbered(lambda n: symlink(b"%d" % n, b"x")), LimitExceeded,
            "BAQUP_TARGET_MAX_ENTRIES", Limits(max_entries=1000)),
    Hostile("a file of zero bytes without end", endless(block(size=base256(2**62)), bytes(BLOCK)),
            LimitExceeded, "BAQUP_TARGET_MAX_BYTES", Limits(max_bytes=10**6)),
    Hostile("many files of a megabyte", endless(b"", file(b"f", bytes(2**20))),
            LimitExceeded, "BAQUP_TARGET_MAX_BYTES", Limits(max_bytes=10**6)),
    Hostile("directories in directories without end",
            lambda: (pax((b"path", b"/".join([b"d"] * (n + 1)))) + folder(b"d")
                     for n in itertools.count()),
            LimitExceeded, "BAQUP_SOURCE_MAX_DEPTH", Limits(max_depth=100)),
    Hostile("a name of 100 kB", whole(pax((b"path", b"/".join([b"n" * 250] * 400))), file(b"f")),
            LimitExceeded, "BAQUP_TARGET_MAX_NAME", Limits(max_name=65536)),
    *(
        Hostile(f"an extended header {flag!r} of 8 GiB",
                endless(block(b"h", flag, size=8**11 - 1), b"n" * BLOCK), DataError,
                "headers exceed")
        for flag in (b"x", b"g", b"L", b"K")
    ),
    *(
        Hostile(f"extended headers {name} without end", endless(b"", part),
            DataError, "a second extended header|headers exceed")
        for name, part in (
            ("of pax", pax((b"path", b"x"))), ("for all", pax((b"comment", b"x"), flag=b"g")),
            ("of long names", long_name(b"x")), ("of long links", long_name(b"x", b"K")),
        )
    ),
    Hostile("long names in long names",
            whole(long_name(b"a"), long_name(b"b", b"K"), long_name(b"../c"), file(b"f")),
            DataError, "a second extended header"),
    Hostile("a pax record of no length (CVE-2019-20907)", whole(raw_pax(b"0 path=x\n"), file(b"f")),
            DataError, "wrong length"),
    *(
        Hostile(f"a pax body {body[:20]!r}", whole(raw_pax(body), file(b"f")),
            DataError, "an extended header")
        for body in (
            b"9" * 4000 + b" path=x\n", b"-5 path=x\n", b"9 path=x", b"99 path=x\n", b"5 a=b\n",
            b"path=x\n", b"\0" * 512, b" " * 512, b"7 path\n", b"5 =b\n\n", b"3 =",
        )
    ),
    Hostile("a pax header of 40 kB without an equals sign", whole(raw_pax(b"1" * 40_000),
            file(b"f")), DataError, "length of a record"),
    Hostile("a pax header of 900 kB of tiny records",
            lambda: (raw_pax(b"6 a=b\n" * 150_000), file(b"f"), END), None),
    Hostile("zero bytes behind the end without end", endless(file(b"f") + END, bytes(BLOCK)),
            DataError, "behind its end mark"),
]  # fmt: skip

HOLES = [
    Hostile("a file with holes of 8 EiB", whole(sparse((0, 1), size=2**63 - 1, content=b"x")),
            LimitExceeded, "BAQUP_TARGET_MAX_BYTES", Limits(max_bytes=10**12)),
    Hostile("a file with holes of more than 8 EiB",
            whole(sparse((0, 1), size=2**63, content=b"x")), DataError, "sparse map"),
    Hostile("a map of a million stretches",
            lambda: (sparse(*((2 * n, 1) for n in range(200_000)), size=10**7), END),
            DataError, "headers exceed"),
    Hostile("a map that says more stretches than it has",
            whole(raw_pax(b"".join((record(b"GNU.sparse.major", b"1"),
                                    record(b"GNU.sparse.minor", b"0"),
                                    record(b"GNU.sparse.realsize", b"5")))),
                  block(size=BLOCK), padded(b"9999999999\n")), DataError, "longer than its file"),
    *(
        Hostile(f"stretches {pairs!r}", whole(sparse(*pairs, size=10, content=b"x" * 8)),
                DataError, "sparse map")
        for pairs in (
            ((0, 4), (2, 4)), ((4, 4), (0, 4)), ((6, 8),), ((-4, 8),), ((0, 9),), ((0, 7),),
            ((2**63, 8),), ((0, -8), (8, 16)), ((10, 8),),
        )
    ),
    *(
        Hostile(f"a real size of {size!r}",
                whole(sparse((0, 1), size=1, content=b"x", realsize=size)), DataError, "sparse map")
        for size in (b"-1", b"x", b"9" * 30, b"0", b"1e3")
    ),
    Hostile("an old map whose extensions never end",
            endless(block(b"f", b"S", size=0, magic=b"ustar  \0", prefix=bytes(137) + b"\x01"),
                    bytes(504) + b"\x01" + bytes(7)), DataError, "headers exceed"),
    Hostile("a map that is no number",
            whole(pax((b"GNU.sparse.map", b"a,b"), (b"GNU.sparse.size", b"9")), block()),
            DataError, "no number"),
]  # fmt: skip

ALL = [*ESCAPES, *LINKS, *GAMES, *NUMBERS, *BOMBS, *HOLES]


class Stream:
    """A source of bytes made of pieces; counts what was taken."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self.taken = 0

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        data, self._rest = self._rest[:size], self._rest[size:]
        self.taken += len(data)
        return data

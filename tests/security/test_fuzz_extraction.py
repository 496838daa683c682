"""Extraction of anything at all: nothing outside changes, and only errors of ours are raised."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baqup_agent.errors import BaqupError
from baqup_agent.security.extraction import Limits, Selection, extract
from baqup_agent.security.member import Member
from tests.security.hostile import (
    ALL,
    BLOCK,
    END,
    block,
    file,
    folder,
    hardlink,
    long_name,
    pax,
    sparse,
    symlink,
)
from tests.security.sentinel import Sentinel

#: Bounds what a fuzzed number can cost the disk.
LIMITS = Limits(max_bytes=10**8, max_entries=5000, max_name=4096, max_depth=64)

HONEST = b"".join(
    [
        folder(b"./"),
        folder(b"d", 0o700),
        file(b"d/f", b"content" * 100),
        hardlink(b"d/h", b"d/f"),
        symlink(b"l", b"d/../d/f"),
        pax((b"path", b"d/" + b"n" * 120), (b"mtime", b"1700000000.123456789")) + file(b"x", b"1"),
        pax((b"SCHILY.xattr.user.key", b"value")) + file(b"a", b"2"),
        long_name(b"d/" + b"m" * 130) + file(b"y", b"3"),
        sparse((512, 5), (4096, 5), size=8192, content=b"0123456789", name=b"s"),
        symlink(b"up", b"d/.."),
        file(b"d/last", b"4"),
    ]
)


class Deaf:
    """Is told of everything and does nothing."""

    def member(self, member: Member, /) -> None:
        """Ignore it."""

    def data(self, count: int, /) -> None:
        """Ignore it."""

    def note(self, code: str, name: bytes, message: str, /) -> None:
        assert "\n" not in message


def unpack(raw: bytes, place: Path, *, owners: bool = False, part: bool = False) -> bool:
    """Extract what may be no archive; return whether it was one."""
    place.mkdir()
    root = os.open(place, os.O_RDONLY)
    selection = Selection(lambda name, _: name.endswith((b"h", b"t")), lambda: io.BytesIO(raw))
    try:
        extract(
            io.BytesIO(raw),
            root,
            Deaf(),
            owners=owners,
            limits=LIMITS,
            selection=selection if part else None,
        )
    except BaqupError:
        return False
    finally:
        os.close(root)
    return True


def leads_out(place: Path) -> list[str]:
    """The links in a tree that the kernel follows to a place outside of it."""
    found = []
    for path in place.rglob("*"):
        if not path.is_symlink():
            continue
        try:
            fd = os.open(path, os.O_PATH)
        except OSError:
            continue
        there = Path(f"/proc/self/fd/{fd}").readlink()
        os.close(fd)
        if not there.is_relative_to(place.resolve()):
            found.append(str(path))
    return found


def mended(raw: bytearray, at: int) -> None:
    """Give the block that begins there its right checksum, whatever it holds."""
    raw[at + 148 : at + 156] = b" " * 8
    raw[at + 148 : at + 156] = b"%06o\0 " % sum(raw[at : at + BLOCK])


def mutated(random_: random.Random, bases: list[bytes]) -> bytes:
    """Change an archive in a few places, in the ways that matter to a parser."""
    raw = bytearray(random_.choice(bases) + END)
    for _ in range(random_.randint(1, 4)):
        blocks = max(len(raw) // BLOCK, 1)
        at = random_.randrange(blocks) * BLOCK
        action = random_.randrange(6)
        if action == 0 and raw:
            raw[random_.randrange(len(raw))] = random_.randrange(256)
        elif action == 1:
            raw[at:at] = raw[random_.randrange(blocks) * BLOCK :][:BLOCK]
        elif action == 2:
            del raw[at : at + BLOCK * random_.randint(1, 3)]
        elif action == 3:
            del raw[random_.randrange(len(raw) + 1) :]
        elif action == 4 and len(raw) >= at + BLOCK:
            field = random_.choice([0, 100, 108, 116, 124, 136, 156, 157, 257, 345, 386, 483])
            word = random_.choice([b"../", b"/", b"\0", b"\x80", b"\xff" * 8, b"7" * 11, b"5", b"2",
                                   b"1", b"x", b"L", b"S", b"d/..", b"-1"])  # fmt: skip
            raw[at + field : at + field + len(word)] = word
            del raw[(len(raw) // BLOCK) * BLOCK :]
            mended(raw, at)
        elif len(raw) >= at + BLOCK:
            place = at + random_.randrange(BLOCK)
            raw[place] ^= 1 << random_.randrange(8)
            mended(raw, at)
    return bytes(raw)


@pytest.mark.timeout(900)
def test_no_mutation_of_an_archive_does_harm(tmp_path: Path, long: bool) -> None:
    """Archives changed at random, checksums mended, end in a tree of their own or in an error."""
    sentinel = Sentinel(tmp_path)
    begins = ("a link", "links", "a hard", "stretches")
    bases = [HONEST, *(b"".join(each.make()) for each in ALL if each.name.startswith(begins))]
    whole = 0
    rounds = 30_000 if long else 400
    for seed in range(rounds):
        place = sentinel.target / str(seed)
        raw = mutated(random.Random(seed), bases)
        if unpack(raw, place, owners=seed % 3 == 0, part=seed % 5 == 0):
            whole += 1
            assert leads_out(place) == [], seed
        sentinel.check()
    assert 0 < whole < rounds


names = st.lists(
    st.sampled_from([b"a", b"b", b"c", b"..", b".", b"", b"outside", b"victim"]), max_size=5
).map(b"/".join)
texts = st.lists(
    st.sampled_from([b"a", b"b", b"c", b"..", b"..", b".", b"", b"outside"]), max_size=6
).map(b"/".join)
members = st.one_of(
    names.map(folder),
    st.builds(file, names, st.binary(max_size=20)),
    st.builds(symlink, names, texts),
    st.builds(hardlink, names, names),
    st.builds(lambda name, part: pax((b"path", name)) + part, names, texts.map(folder)),
    st.builds(block, names, st.sampled_from([b"3", b"6", b"Z", b"S"])),
    st.binary(max_size=600),
)


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(members, max_size=12), part=st.booleans())
def test_no_sequence_of_members_does_harm(
    parts: list[bytes], part: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Directories, files and links in any order, under any names, stay inside."""
    sentinel = Sentinel(tmp_path_factory.mktemp("any"))
    place = sentinel.target / "t"

    if unpack(b"".join(parts) + END, place, part=part):
        assert leads_out(place) == []
    sentinel.check()

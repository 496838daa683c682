"""Hostile archives: nothing outside the target changes, nothing hangs, each has its clear error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from baqup_agent.contract import ExitCode
from baqup_agent.errors import BaqupError
from baqup_agent.security import openat2
from baqup_agent.security.extraction import extract
from baqup_agent.security.member import Member
from tests.security.hostile import ALL, ESCAPES, GAMES, LINKS, Hostile, Stream
from tests.security.sentinel import Sentinel

#: Bytes that an archive may be read beyond what it honestly holds, before it is given up.
ENOUGH = 80 * 2**20


class Deaf:
    """Is told of everything and does nothing."""

    def member(self, member: Member, /) -> None:
        """Ignore it."""

    def data(self, count: int, /) -> None:
        """Ignore it."""

    def note(self, code: str, name: bytes, message: str, /) -> None:
        assert "\n" not in message


@pytest.fixture
def sentinel(tmp_path: Path) -> Sentinel:
    """An empty target in the middle of a tree that must stay as it is."""
    return Sentinel(tmp_path)


def write(archive: Hostile, target: Path) -> Stream:
    stream = Stream(archive.make())
    unpack(stream, archive, target)
    return stream


def unpack(stream: Stream, archive: Hostile, target: Path) -> None:
    root = os.open(target, os.O_RDONLY)
    try:
        extract(stream, root, Deaf(), owners=False, limits=archive.limits)
    finally:
        os.close(root)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("archive", ALL, ids=[each.name for each in ALL])
def test_a_hostile_archive_does_no_harm(archive: Hostile, sentinel: Sentinel) -> None:
    """Nothing outside the target changes, it ends soon, and its error is one line of its own."""
    if archive.error is None:
        stream = write(archive, sentinel.target)
    else:
        stream = Stream(archive.make())
        with pytest.raises(BaqupError, match=archive.says) as caught:
            unpack(stream, archive, sentinel.target)
        assert type(caught.value) is archive.error
        assert caught.value.exit_code == ExitCode.DATA_ERROR
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 1000
    assert stream.taken <= ENOUGH
    sentinel.check()


@pytest.mark.timeout(120)
def test_the_corpus_is_as_harmless_where_openat2_is_refused(
    sentinel: Sentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walking component by component comes to the same answers as the kernel's own call."""
    monkeypatch.setattr(openat2, "available", lambda: False)

    for number, archive in enumerate([*ESCAPES, *LINKS, *GAMES]):
        place = sentinel.target / str(number)
        place.mkdir()
        found = None
        try:
            write(archive, place)
        except BaqupError as error:
            found = type(error)
        assert found is archive.error, archive.name
    sentinel.check()


def test_every_attack_has_a_name_of_its_own() -> None:
    """No shape of the corpus hides another."""
    assert len({each.name for each in ALL}) == len(ALL) > 150

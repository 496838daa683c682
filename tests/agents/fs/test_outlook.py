"""The look ahead: exact or silent, and cheap."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from baqup_agent.agents.fs.excludes import compile_excludes
from baqup_agent.agents.fs.links import LinkPolicy
from baqup_agent.agents.fs.notes import silent
from baqup_agent.agents.fs.outlook import FILE_COSTS, Outlook
from baqup_agent.agents.fs.walk import Rules, Walk
from baqup_agent.security.beneath import Tree


class Ticks:
    """A clock that goes on by a step with each look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture
def tree(source: Path) -> Iterator[Tree]:
    """The source by descriptor."""
    fd = os.open(source, os.O_RDONLY)
    with Tree(fd) as tree:
        yield tree
    os.close(fd)


def rules(source: Path, tree: Tree, **more: object) -> Rules:
    links = LinkPolicy("shallow", os.fsencode(source), tree)
    return Rules(links, source.parent)._replace(**more)


def test_a_small_source_is_known_at_once(source: Path, tree: Tree) -> None:
    """One look counts a small tree: each file and its bytes, second names and holes not."""
    (source / "sub").mkdir()
    (source / "sub" / "a").write_bytes(b"x" * 10_000)
    (source / "b").write_bytes(b"x" * 20_000)
    (source / "c").hardlink_to(source / "b")
    (source / "out.log").write_bytes(b"x" * 100_000)
    excluded = compile_excludes(["*.log"])

    with Outlook(tree, rules(source, tree, excluded=excluded), Ticks()) as outlook:
        outlook.look(60)

        assert outlook.known
        assert outlook.share(0, 0) == 0
        half = (30_000 + 3 * FILE_COSTS) / 2
        assert outlook.share(0, int(half)) == 0.5
        assert outlook.share(3, 30_000) == 0.99


def test_a_sparse_file_counts_what_it_holds(source: Path, tree: Tree) -> None:
    """Holes are not read, so they are no work."""
    with (source / "sparse").open("wb") as file:
        file.write(b"x" * 65_536)
        file.truncate(2**40)
    if (source / "sparse").stat().st_blocks * 512 > 2**30:
        pytest.skip("the filesystem of temporary files has no holes")

    with Outlook(tree, rules(source, tree), Ticks()) as outlook:
        outlook.look(60)

        assert (outlook.share(0, 65_536 // 2) or 0) > 0.3


def test_a_look_ends_in_time_and_goes_on_later(source: Path, tree: Tree) -> None:
    """A large source is counted in pieces; until its end nothing is claimed."""
    for number in range(100):
        (source / str(number)).write_bytes(b"x")
    clock = Ticks(step_s=1.0)

    with Outlook(tree, rules(source, tree), clock) as outlook:
        looks = 0
        while not outlook.known and looks < 50:
            assert outlook.share(1, 1) is None
            assert outlook.remaining_s(outlook.share(1, 1)) is None
            outlook.look(10)
            looks += 1

        assert 9 <= looks <= 12
        assert outlook.share(50, 50) == 0.5


def test_a_look_takes_nothing_from_the_walk_that_archives(source: Path) -> None:
    """Both begin with one descriptor of the root, and each of them finds everything."""
    for number in range(3000):
        (source / str(number)).touch()
    fd = os.open(source, os.O_RDONLY)
    with Tree(fd) as tree, Tree(fd) as ahead:
        given = rules(source, tree)
        with Outlook(ahead, given, Ticks(1.0)) as outlook, Walk(tree, given, silent) as walk:
            outlook.look(100)
            assert not outlook.known
            names = set()
            for found in walk:
                names.add(found.name)
                outlook.look(1)
    os.close(fd)

    assert names == {b""} | {str(number).encode() for number in range(3000)}


def test_no_time_is_told_before_it_is_sound(source: Path, tree: Tree) -> None:
    """A remaining time takes two seconds and two percent of the work."""
    (source / "file").write_bytes(b"x" * (1_000_000 - FILE_COSTS))
    clock = Ticks()

    with Outlook(tree, rules(source, tree), clock) as outlook:
        outlook.look(1)
        outlook.begin()
        clock.now_s = 1.9
        assert outlook.remaining_s(outlook.share(0, 500_000)) is None
        clock.now_s = 4.0
        assert outlook.remaining_s(outlook.share(0, 19_000)) is None
        assert outlook.remaining_s(outlook.share(0, 250_000)) == pytest.approx(12.0)
        assert outlook.remaining_s(outlook.share(0, 800_000)) == pytest.approx(1.0)


def test_a_source_in_trouble_is_left_to_the_real_walk(source: Path, tree: Tree) -> None:
    """What the archiving will fail on makes the look ahead silent, not loud."""
    (source / "one").touch()
    (source / "two").touch()

    with Outlook(tree, rules(source, tree, max_files=1), Ticks()) as outlook:
        outlook.look(60)

        assert not outlook.known
        assert outlook.share(1, 0) is None


def test_an_empty_source_is_as_good_as_done(source: Path, tree: Tree) -> None:
    """Nothing to do is no division by zero."""
    with Outlook(tree, rules(source, tree), Ticks()) as outlook:
        outlook.look(60)

        assert outlook.share(0, 0) == 0.99

"""What waits for the end of an extraction takes little memory, and comes back as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.security import ledger as module
from baqup_agent.security.ledger import Ledger


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 5000])
@pytest.mark.parametrize("memory_bytes", [0, 10_000, 10**9])
def test_records_come_back_in_both_directions(
    directory: int, count: int, memory_bytes: int
) -> None:
    """However many there are, in memory or not, they come back in order and in reverse, twice."""
    records = [(b"name/%d" % n, n, -(n**9), ((b"k", b"v"),)) for n in range(count)]
    with Ledger(directory, memory_bytes) as ledger:
        for record in records:
            ledger.append(record)

        for _ in range(2):
            assert list(ledger) == records
            assert list(reversed(ledger)) == records[::-1]
        assert ledger.spilt == (count >= 512 and memory_bytes < 10**9 and count * 20 > memory_bytes)


def test_records_are_added_between_readings(directory: int) -> None:
    """Reading does not disturb what is added afterwards."""
    with Ledger(directory, 0) as ledger:
        for number in range(2000):
            ledger.append((number,))
            if number % 700 == 0:
                assert len(list(ledger)) == number + 1

        assert [number for (number,) in ledger] == list(range(2000))


def test_the_file_has_no_name(directory: int, tmp_path: Path) -> None:
    """What does not fit into memory is never seen in the target, not even by its time."""
    os.utime(tmp_path, ns=(1, 1))
    with Ledger(directory, 0) as ledger:
        for number in range(2000):
            ledger.append((number,))

        assert ledger.spilt
        assert list(tmp_path.iterdir()) == []
        assert tmp_path.stat().st_mtime_ns == 1


def test_a_filesystem_without_nameless_files_will_do(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the target cannot hold a nameless file, the place of temporary files does."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch, Ledger(directory, 0) as ledger:
        opener = os.open
        patch.setattr(module.os, "open", lambda path, *a, **k: refuse() if path == "." else
                      opener(path, *a, **k))  # fmt: skip
        for number in range(1000):
            ledger.append((number,))

        assert ledger.spilt
        assert len(list(ledger)) == 1000


values = st.one_of(st.binary(max_size=30), st.integers(), st.booleans())
records = st.lists(st.tuples(values, st.lists(st.tuples(values, values)).map(tuple)), max_size=40)


@settings(max_examples=20)
@given(records=records)
def test_any_record_comes_back(
    records: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes, numbers and tuples of them are kept to the last bit."""
    fd = os.open(tmp_path_factory.getbasetemp(), os.O_RDONLY)
    try:
        with pytest.MonkeyPatch.context() as patch, Ledger(fd, 500) as ledger:
            patch.setattr(module, "_CHUNK_RECORDS", 3)
            for record in records:
                ledger.append(record)
            assert list(ledger) == records
            assert list(reversed(ledger)) == records[::-1]
    finally:
        os.close(fd)

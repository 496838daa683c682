"""Sources that hardly anybody would back up on purpose are told, or refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from baqup_agent.agents.fs.anomalies import EVERY, SAMPLE_BYTES, Anomalies
from baqup_agent.errors import DataError
from baqup_agent.staging.manifest import Manifest
from tests.agents.fs.jobs import Jobs

NOISE = os.urandom(SAMPLE_BYTES)
TEXT = (b"the quick brown fox " * 300)[:SAMPLE_BYTES]


def found(
    tmp_path: Path, files: int, name: Callable[[int], str], content: Callable[[int], bytes]
) -> list[str]:
    """What is told of so many files; each content is judged as if it were a file's."""
    anomalies, empty = Anomalies(), 0
    for number in range(1, files + 1):
        data = content(number)
        empty += not data
        if number % EVERY == 0:
            (tmp_path / "sample").write_bytes(data)
            fd = os.open(tmp_path / "sample", os.O_RDONLY)
            anomalies.look(name(number).encode(), fd, len(data))
            os.close(fd)
    return [each.text for each in anomalies.found(files, empty)]


@pytest.mark.parametrize(
    ("files", "full", "told"),
    [(1000, 10, True), (1000, 11, False), (999, 0, False), (5000, 50, True), (0, 0, False)],
)
def test_nearly_nothing_but_empty_files(
    tmp_path: Path, files: int, full: int, *, told: bool
) -> None:
    """Ninety-nine of a hundred files that are empty are told, of a thousand files and more."""
    lines = found(tmp_path, files, lambda n: f"{n}.txt", lambda n: b"x" if n <= full else b"")

    assert lines == ([f"{files - full} of {files} files are empty"] if told else [])


def one_in(count: int, name: str, otherwise: str) -> Callable[[int], str]:
    return lambda number: otherwise if number // EVERY % count == 0 else name


@pytest.mark.parametrize(
    ("name", "noise_of_20", "files", "told"),
    [
        (lambda n: f"{n}.csv", 18, 1000, True),
        (lambda n: f"{n}.csv", 17, 1000, False),
        (lambda n: f"{n}.csv", 20, 500, False),
        (lambda n: f"{n}.csv", 20, 520, True),
        (lambda n: f"{n}.jpg", 20, 1000, False),
        (lambda n: f"{n}.ZIP", 20, 1000, False),
        (lambda n: f"objects/0a/{n:038x}", 20, 1000, False),
        (lambda n: f".{n}", 20, 1000, False),
    ],
)
def test_content_that_looks_encrypted(
    tmp_path: Path, name: Callable[[int], str], noise_of_20: int, files: int, *, told: bool
) -> None:
    """Nine of ten samples that do not compress are told, unless their names explain it."""
    lines = found(tmp_path, files, name, lambda n: NOISE if n // EVERY % 20 < noise_of_20 else TEXT)

    assert [line for line in lines if "do not compress" in line] == lines
    assert bool(lines) is told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (lambda n: f"report {n}.docx.locked", True),
        (one_in(25, "a/b.txt.locked", "a/b.txt"), True),
        (one_in(10, "a/b.txt.locked", "a/b.txt"), False),
        (lambda n: f"{n}.locked", False),
        (lambda n: f"access.log.{n}", False),
        (lambda n: f"{n}.csv.gz", False),
        (lambda n: f".{n}.locked", False),
    ],
)
def test_one_more_suffix_on_every_name(
    tmp_path: Path, name: Callable[[int], str], *, told: bool
) -> None:
    """The same second suffix on nearly all names is told, unless it is a packer's."""
    lines = found(tmp_path, 4000, name, lambda _: b"x")

    assert [line for line in lines if "second suffix 'locked'" in line] == lines
    assert bool(lines) is told


def fill_with_empty_files(source: Path) -> None:
    for number in range(1000):
        (source / f"{number}").touch()


def fill_with_locked_files(source: Path) -> None:
    for number in range(1000):
        (source / f"{number}.txt.locked").write_text("text")


def test_an_anomaly_is_a_warning_and_stands_in_the_manifest(jobs: Jobs, source: Path) -> None:
    """By default a source that somebody may have encrypted is kept, and said to be unusual."""
    fill_with_locked_files(source)

    published = jobs.snapshot(source)

    assert jobs.last.codes() == {"ANOMALY_DETECTED": 1}
    (told,) = Manifest.read(published).source_metadata["anomalies"]
    assert told.startswith("100 % of 1000 files got the second suffix 'locked'")


def test_a_source_of_empty_files_is_kept_where_it_is_meant_to_be_so(
    jobs: Jobs, source: Path
) -> None:
    """With the policy 'warn' it is told like any other."""
    fill_with_empty_files(source)

    published = jobs.snapshot(source, anomaly="warn")

    assert jobs.last.codes() == {"ANOMALY_DETECTED": 1}
    told = Manifest.read(published).source_metadata["anomalies"]
    assert told == ["1000 of 1000 files are empty"]


@pytest.mark.parametrize(
    ("fill", "policy", "told"),
    [
        (fill_with_empty_files, "auto", "1000 of 1000 files are empty; look at"),
        (fill_with_empty_files, "fail", "1000 of 1000 files are empty; look at"),
        (fill_with_locked_files, "fail", "second suffix 'locked'"),
    ],
)
def test_an_anomaly_can_end_the_job(
    jobs: Jobs, source: Path, fill: Callable[[Path], None], policy: str, told: str
) -> None:
    """Nothing but empty files does so by default; nothing is published, the error tells why."""
    fill(source)

    with pytest.raises(DataError, match=told) as error:
        jobs.snapshot(source, anomaly=policy)

    assert error.value.code == "ANOMALY_DETECTED"
    assert int(error.value.exit_code) == 65
    assert jobs.last.codes() == {"ANOMALY_DETECTED": 1}
    assert not list(jobs.staging_dir.rglob("data.tar"))


def test_an_anomaly_can_be_ignored(jobs: Jobs, source: Path) -> None:
    """With the policy 'ignore' nobody looks for any."""
    fill_with_empty_files(source)

    published = jobs.snapshot(source, anomaly="ignore")

    assert jobs.last.codes() == {}
    assert "anomalies" not in Manifest.read(published).source_metadata


def test_a_tree_encrypted_by_somebody_is_recognised(jobs: Jobs, source: Path) -> None:
    """Files on disk with scrambled content and a suffix of their own give both patterns."""
    for number in range(1200):
        (source / f"{number}.txt.crypt").write_bytes(os.urandom(SAMPLE_BYTES))

    published = jobs.snapshot(source)

    scrambled, renamed = Manifest.read(published).source_metadata["anomalies"]
    assert "do not compress" in scrambled
    assert renamed == "100 % of 1200 files got the second suffix 'crypt'; was it you?"

"""The trees that the output path is measured on: made once, the same each time."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import NamedTuple

_CORPUS_BYTES = 8 << 20
_WORDS = 20_000
_SUFFIXES = ("txt", "csv", "py", "json", "log", "html", "db", "jpg", "gz", "bin")


class Sizes(NamedTuple):
    """How large the trees are."""

    mixed_bytes: int
    mixed_files: int
    big_bytes: int
    small_files: int
    empty_files: int


SCALED = Sizes(300 << 20, 12_000, 512 << 20, 100_000, 100_000)

FULL = Sizes(1420 << 20, 58_000, 2 << 30, 200_000, 1_000_000)


class Content:
    """Text that compresses as text does, and noise."""

    def __init__(self) -> None:
        chance = random.Random(7)
        words = [
            bytes(chance.choices(b"abcdefghijklmnoprstuvwz", k=chance.randint(2, 9)))
            for _ in range(_WORDS)
        ]
        weights = [1 / (rank + 3) for rank in range(_WORDS)]
        drawn = chance.choices(words, weights, k=_CORPUS_BYTES // 6)
        self._text = b" ".join(drawn)
        self._noise = chance.randbytes(_CORPUS_BYTES)
        self._chance = chance

    def piece(self, size: int, *, noise: float = 0.35) -> bytes:
        """Return at most 8 MiB, noise with the probability ``noise``, else text."""
        corpus = self._noise if self._chance.random() < noise else self._text
        size = min(size, len(corpus) // 2)
        start = self._chance.randrange(len(corpus) - size)
        return corpus[start : start + size]


def make_mixed(root: Path, files: int, total_bytes: int) -> None:
    """Files of 100 bytes to many megabytes in nested directories, as in a home directory."""
    chance, content = random.Random(11), Content()
    shares = [chance.lognormvariate(0, 2.2) for _ in range(files)]
    scale = total_bytes / sum(shares)
    for number, share in enumerate(shares):
        place = root / f"area{number % 17:02}" / f"project{number // 400:03}" / f"v{number % 5}"
        place.mkdir(parents=True, exist_ok=True)
        suffix = _SUFFIXES[number % len(_SUFFIXES)]
        with (place / f"file-{number}.{suffix}").open("wb") as file:
            missing = int(share * scale)
            while missing > 0:
                piece = content.piece(min(missing, 2 << 20))
                file.write(piece)
                missing -= len(piece)


def make_big(path: Path, size: int) -> None:
    """One file, a third of it incompressible."""
    content = Content()
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(content.piece(min(1 << 20, size - file.tell())))


def make_small(root: Path, files: int) -> None:
    """Files of 3 KiB on average, a hundred in each directory."""
    chance, content = random.Random(13), Content()
    for number in range(files):
        place = root / f"{number // 10_000:03}" / f"{number // 100 % 100:02}"
        if number % 100 == 0:
            place.mkdir(parents=True)
        size = int(chance.expovariate(1 / 3300)) + 1
        (place / f"{number}.txt").write_bytes(content.piece(size, noise=0.1))


def make_empty(root: Path, files: int, *, each: int) -> None:
    """Empty files, ``each`` in a directory."""
    for first in range(0, files, each):
        place = root / f"{first // each // 100:04}" / f"{first // each % 100:02}"
        place.mkdir(parents=True)
        fd = os.open(place, os.O_RDONLY)
        for number in range(min(each, files - first)):
            os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)


def make_directories(root: Path, count: int) -> None:
    """Empty directories beside each other in one."""
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for number in range(count):
        os.mkdir(f"d{number}", dir_fd=fd)
    os.close(fd)

"""What a reader of a job's directory finds there, judged by the contract's text alone.

Nothing of the package is asked: only JSON and hashes (Contract §4).
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        published: whether there is a manifest.
        problems: each way in which what the manifest promises does not hold.
    """

    published: bool
    problems: tuple[str, ...] = ()


def judge(directory: Path) -> Verdict:
    """Look whether everything that a manifest lists is there and intact, if there is one."""
    try:
        text = (directory / "manifest.json").read_bytes()
    except FileNotFoundError:
        return Verdict(published=False)
    return Verdict(True, tuple(_problems(directory, text)))


def _problems(directory: Path, text: bytes) -> Iterator[str]:
    try:
        manifest = json.loads(text)
    except ValueError as error:
        yield f"the manifest of {len(text)} bytes is no JSON: {error}"
        return
    if manifest.get("job_id") != directory.name:
        yield f"the manifest is of job {manifest.get('job_id')!r}"
    artifacts = manifest.get("artifacts")
    if not artifacts:
        yield "the manifest lists nothing"
        return
    for artifact in artifacts:
        yield from _mismatch(directory, artifact)
    yield from _missing_parts(artifacts)


def _mismatch(directory: Path, artifact: dict[str, Any]) -> Iterator[str]:
    name = artifact["filename"]
    path = directory / name
    try:
        found = path.lstat()
    except FileNotFoundError:
        yield f"{name} is missing"
        return
    if not stat.S_ISREG(found.st_mode):
        yield f"{name} is no file"
        return
    if found.st_size != artifact["size_bytes"]:
        yield f"{name} has {found.st_size} bytes instead of {artifact['size_bytes']}"
    checksum = artifact["checksum"]
    if hashlib.new(checksum["algorithm"], path.read_bytes()).hexdigest() != checksum["value"]:
        yield f"{name} has another {checksum['algorithm']}"


def _missing_parts(artifacts: list[dict[str, Any]]) -> Iterator[str]:
    parts = [artifact["part"] for artifact in artifacts if artifact.get("part")]
    for whole in {part["of"] for part in parts}:
        numbers = [part["number"] for part in parts if part["of"] == whole]
        counts = {part["count"] for part in parts if part["of"] == whole}
        if counts != {len(numbers)} or sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"{whole} has the parts {numbers} of {counts}"


def contents(directory: Path) -> dict[str, str]:
    """Return the checksum of every file below a directory, by its path."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }

"""``baqup-agent run … --from``: what is not published is told before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import baqup_agent


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nothing", "does not exist"),
        ("a file", "is no directory"),
        ("an empty directory", "holds no manifest.json"),
    ],
)
def test_what_was_not_published_is_told_as_that(tmp_path: Path, kind: str, says: str) -> None:
    """A wrong --from ends with 64, one line that names it, and no directory left behind."""
    place = tmp_path / "backups" / "nope"
    place.parent.mkdir()
    if kind == "a file":
        place.touch()
    elif kind == "an empty directory":
        place.mkdir()
    before = sorted(tmp_path.rglob("*"))

    result = baqup_agent("run", "fs", "restore", "--from", place, "--target", tmp_path / "t")

    assert result.returncode == 64
    assert says in result.stderr
    assert "--from" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before

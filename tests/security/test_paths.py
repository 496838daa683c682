from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.errors import PathEscape
from baqup_agent.security.paths import require_inside, validate_path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A boundary with links of every kind, and a neighbour whose name begins like its own."""
    inside = tmp_path / "data"
    (inside / "folder").mkdir(parents=True)
    (inside / "file").touch()
    (tmp_path / "data-of-others").mkdir()
    (tmp_path / "data-of-others" / "file").touch()
    (inside / "in").symlink_to("folder")
    (inside / "out").symlink_to("../data-of-others")
    (inside / "root").symlink_to("/")
    (inside / "dangling-in").symlink_to("not-there")
    (inside / "dangling-out").symlink_to("../not-there")
    (inside / "circle").symlink_to("circle")
    (inside / "chain").symlink_to("in/../out/file")
    return inside


INSIDE = [
    "",
    ".",
    "file",
    "folder",
    "folder/../file",
    "in",
    "in/new",
    "not/there/yet",
    "dangling-in",
    "not-there/../file",
]
OUTSIDE = [
    "..",
    "../data-of-others",
    "../data-of-others/file",
    "folder/../../x",
    "out",
    "out/file",
    "out/new",
    "root/etc",
    "chain",
    "dangling-out",
    "not-there/../../x",
    "circle",
    "circle/x",
    "file/x/../../..",
    "nul\0byte",
]


@pytest.mark.parametrize("name", INSIDE)
def test_what_leads_inside_is_inside(name, place):
    """Existing or not, through links or not; and the resolved path is handed back."""
    path = os.path.join(place, name)  # noqa: PTH118  Path would tidy the name up

    assert validate_path(path, place)
    assert require_inside(path, place) == Path(os.path.realpath(path))


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_leads_outside_is_refused_in_one_line(name, place):
    """Through dots or links, or because nobody can tell where it leads."""
    path = os.path.join(place, name)  # noqa: PTH118

    assert not validate_path(path, place)
    with pytest.raises(PathEscape) as caught:
        require_inside(path, place)
    error = caught.value
    assert error.exit_code == 65
    assert repr(path) in error.message
    assert repr(str(place)) in error.message
    assert "\n" not in error.message


def test_both_sides_are_resolved(place, tmp_path):
    """A boundary may be a link, and a path may come in by another door."""
    (tmp_path / "door").symlink_to(place)

    assert validate_path(tmp_path / "door" / "file", place)
    assert validate_path(place / "file", tmp_path / "door")
    assert not validate_path(place.parent, tmp_path / "door")


def test_every_form_of_a_path_is_taken(place):
    """Text, bytes and paths, with names that are not UTF-8."""
    odd = os.fsencode(place) + b"/caf\xe9"

    assert validate_path(odd, os.fsencode(place))
    assert validate_path(str(place / "file"), str(place))
    assert os.fsencode(require_inside(odd, place)) == odd


def test_a_relative_path_counts_from_the_working_directory(place, monkeypatch):
    """As everywhere else."""
    monkeypatch.chdir(place)

    assert validate_path("file", ".")
    assert not validate_path("../x", ".")


@given(
    parts=st.lists(st.sampled_from(["..", ".", "a", "in", "out", "file", "", "root"]), max_size=8)
)
def test_what_is_accepted_resolves_below_the_boundary(parts, tmp_path_factory):
    """Judged by the system's own resolution of every path that exists."""
    place = tmp_path_factory.getbasetemp() / "property" / "data"
    if not place.exists():
        (place / "a").mkdir(parents=True)
        (place / "in").symlink_to("a")
        (place / "out").symlink_to("..")
        (place / "root").symlink_to("/")
        (place / "file").touch()
    path = os.path.join(place, *parts)  # noqa: PTH118

    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        real = str(Path(f"/proc/self/fd/{fd}").readlink())
    finally:
        os.close(fd)
    assert validate_path(path, place) == (real + "/").startswith(f"{place.resolve()}/")

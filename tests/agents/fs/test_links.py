"""The four policies for symbolic links."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baqup_agent.errors import DataError
from tests.agents.fs.jobs import Jobs
from tests.trees import picture

EXTERNAL, SKIPPED, REWRITTEN = "SYMLINK_EXTERNAL", "SYMLINK_SKIPPED", "SYMLINK_REWRITTEN"


@pytest.fixture
def scene(source: Path) -> Path:
    """A source with files and directories for links to lead to, and things outside of it."""
    (source.parent / "outside").mkdir()
    (source.parent / "outside" / "secret").write_bytes(b"secret")
    (source / "file").write_bytes(b"inside")
    (source / "a" / "b" / "c").mkdir(parents=True)
    (source / "a" / "b" / "c" / "deep").write_bytes(b"deep")
    return source


def links(tree: Path) -> dict[str, str]:
    return {
        os.fsdecode(name): os.fsdecode(thing.content)
        for name, thing in picture(tree).items()
        if thing.kind == "link"
    }


OUTSIDE = [
    "../outside/secret",
    "../outside",
    "/etc/hostname",
    "/",
    "..",
    "../source-not",
    "a/../../x",
]


@pytest.mark.parametrize("text", OUTSIDE)
@pytest.mark.parametrize("policy", ["shallow", "follow"])
def test_links_out_of_the_source_are_left_out(
    jobs: Jobs, scene: Path, target: Path, text: str, policy: str
) -> None:
    """Neither policy keeps a link that leads out, nor what it leads to."""
    (scene / "out").symlink_to(text)

    published = jobs.snapshot(scene, follow_symlinks=policy)

    assert jobs.last.codes() == {EXTERNAL: 1}
    assert jobs.last.paths(EXTERNAL) == ["out"]
    jobs.restore(published, target)
    assert not (target / "out").is_symlink()
    assert (target / "file").read_bytes() == b"inside"


def test_a_link_that_leads_out_over_another_is_left_out(
    jobs: Jobs, scene: Path, target: Path
) -> None:
    """What counts is where a link ends, not what its text looks like."""
    (scene / "out").symlink_to("../outside")
    (scene / "over").symlink_to("out/secret")

    jobs.restore(jobs.snapshot(scene), target)

    assert links(target) == {}


REWRITES = {
    "{source}/file": "../../file",
    "{source}/a/b/c/deep": "c/deep",
    "{source}": "../..",
    "{source}/a/b": ".",
    "{source}/nothing/there": "../../nothing/there",
    "../../../source/file": "../../file",
    "../../short/../deep-not": "deep-not",
    "{alias}/file": "../../file",
}


@pytest.mark.parametrize("text", REWRITES)
def test_links_that_would_not_survive_a_move_are_rewritten(
    jobs: Jobs, scene: Path, target: Path, text: str
) -> None:
    """Absolute links and links over '..' of the source lead to the same place after a restore."""
    alias = scene.parent / "alias"
    alias.symlink_to("source")
    (scene / "short").symlink_to("a/b/c")
    said = text.format(source=scene, alias=alias)
    (scene / "a" / "b" / "link").symlink_to(said)
    led = os.path.realpath(scene / "a" / "b" / "link")

    published = jobs.snapshot(scene)

    assert jobs.last.codes() == {REWRITTEN: 1}
    jobs.restore(published, target)
    assert links(target)["a/b/link"] == REWRITES[text]
    restored = os.path.realpath(target / "a" / "b" / "link")
    assert os.path.relpath(restored, target) == os.path.relpath(led, scene)


def test_links_that_go_in_circles_are_kept(jobs: Jobs, scene: Path, target: Path) -> None:
    """A circle of links is a circle again, as long as no text in it climbs back."""
    (scene / "one").symlink_to("two")
    (scene / "two").symlink_to("./one")
    (scene / "self").symlink_to("self")
    (scene / "bent").symlink_to("one/../two")

    published = jobs.snapshot(scene)

    assert jobs.last.codes() == {SKIPPED: 1}
    assert jobs.last.paths(SKIPPED) == ["bent"]
    jobs.restore(published, target)
    assert links(target) == {"one": "two", "two": "./one", "self": "self"}


def test_excluding_a_link_does_not_break_the_archive(jobs: Jobs, scene: Path, target: Path) -> None:
    """A text that climbs back over a link is safe even when that link is not in the backup."""
    (scene / "high").symlink_to("a/b/c")
    (scene / "low").symlink_to("high/../../../file")

    jobs.restore(jobs.snapshot(scene, exclude=["/high"]), target)

    assert (target / "low").read_bytes() == b"inside"


def test_skip_leaves_every_link_out(jobs: Jobs, scene: Path, target: Path) -> None:
    """Under 'skip' no link is kept, wherever it leads."""
    (scene / "in").symlink_to("file")
    (scene / "out").symlink_to("/etc")

    published = jobs.snapshot(scene, follow_symlinks="skip")

    assert jobs.last.codes() == {SKIPPED: 2}
    jobs.restore(published, target)
    assert links(target) == {}


def test_fail_ends_the_job_at_the_first_link(jobs: Jobs, scene: Path) -> None:
    """Under 'fail' a link is bad data, and nothing is published."""
    (scene / "a" / "in").symlink_to("../file")

    with pytest.raises(DataError, match=r"'a/in' is a symbolic link.*exclude it"):
        jobs.snapshot(scene, follow_symlinks="fail")

    assert not list(jobs.staging_dir.rglob("manifest.json"))
    jobs.snapshot(scene, follow_symlinks="fail", exclude=["in"])


def test_follow_archives_what_links_lead_to(jobs: Jobs, scene: Path, target: Path) -> None:
    """Under 'follow' files and directories stand in the place of links."""
    (scene / "file-link").symlink_to("a/b/c/deep")
    (scene / "dir-link").symlink_to("a/b")
    (scene / "over").symlink_to("dir-link/c")
    (scene / "absolute").symlink_to(scene / "file")
    (scene / "dangling").symlink_to("nothing")
    os.mkfifo(scene / "fifo")
    (scene / "to-fifo").symlink_to("fifo")

    published = jobs.snapshot(scene, follow_symlinks="follow")

    assert jobs.last.codes() == {SKIPPED: 2, "SPECIAL_FILE_SKIPPED": 1}
    assert set(jobs.last.paths(SKIPPED)) == {"dangling", "to-fifo"}
    jobs.restore(published, target)
    assert links(target) == {}
    assert (target / "file-link").read_bytes() == b"deep"
    assert (target / "dir-link" / "c" / "deep").read_bytes() == b"deep"
    assert (target / "over" / "deep").read_bytes() == b"deep"
    assert (target / "absolute").read_bytes() == b"inside"


def test_follow_does_not_run_in_circles(jobs: Jobs, scene: Path, target: Path) -> None:
    """Links to directories above, to each other and to themselves end somewhere."""
    (scene / "a" / "b" / "up").symlink_to("../..")
    (scene / "a" / "b" / "here").symlink_to(".")
    (scene / "self").symlink_to("self")
    (scene / "x").mkdir()
    (scene / "y").mkdir()
    (scene / "x" / "y").symlink_to("../y")
    (scene / "y" / "x").symlink_to("../x")

    published = jobs.snapshot(scene, follow_symlinks="follow")

    assert jobs.last.codes() == {SKIPPED: 5}
    assert set(jobs.last.paths(SKIPPED)) == {"self", "a/b/up", "a/b/here", "x/y/x", "y/x/y"}
    jobs.restore(published, target)
    assert (target / "x" / "y").is_dir()


def test_a_link_over_a_closed_directory_is_kept_by_its_text(
    jobs: Jobs, scene: Path, target: Path
) -> None:
    """Where a directory on the way cannot be read, the link is kept as long as it stays inside."""
    (scene / "link").symlink_to("a/b/c/deep")
    opened = os.open

    def refusing(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if path == b"b":
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refusing)
        published = jobs.snapshot(scene)

    assert jobs.last.codes() == {"PERMISSION_DENIED": 1}
    jobs.restore(published, target)
    assert links(target) == {"link": "a/b/c/deep"}


def test_a_followed_file_does_not_disturb_hard_links(jobs: Jobs, scene: Path, target: Path) -> None:
    """A copy in a link's place is no further name of the file."""
    (scene / "second").hardlink_to(scene / "file")
    for number in range(5):
        (scene / f"copy{number}").symlink_to("file")

    jobs.restore(jobs.snapshot(scene, follow_symlinks="follow"), target)

    assert (target / "file").samefile(target / "second")
    assert (target / "file").stat().st_nlink == 2
    assert (target / "copy3").read_bytes() == b"inside"


parts = st.sampled_from(["a", "b", "c", "..", "..", ".", "", "nothing"])
texts = st.builds(
    lambda start, middle: start + "/".join(middle),
    st.sampled_from(["", "", "", "{source}/", "/", "../source/"]),
    st.lists(parts, min_size=1, max_size=5),
).filter(bool)
places = st.sampled_from(
    [f"{folder}{leaf}" for folder in ("", "a/", "b/", "a/a/", "a/a/a/") for leaf in "abc"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    folders=st.lists(st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a"]), max_size=6),
    web=st.dictionaries(places, texts, max_size=10),
    excluded=st.lists(st.sampled_from(["/a/a", "/b", "c", "a/b", "nothing"]), max_size=2),
)
def test_what_is_backed_up_can_be_restored(
    folders: list[str],
    web: dict[str, str],
    excluded: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """No web of links makes an archive that restoring refuses, whatever is excluded from it."""
    base = tmp_path_factory.mktemp("web")
    source, target = base / "source", base / "target"
    source.mkdir()
    for folder in folders:
        (source / folder).mkdir(parents=True, exist_ok=True)
    made = 0
    for name, text in web.items():
        place = source / name
        if place.parent.is_dir() and place.parent.resolve().is_relative_to(source):
            try:
                place.symlink_to(text.format(source=source))
            except FileExistsError:
                continue
            made += 1
    jobs = Jobs(base / "staging")

    published = jobs.snapshot(source, exclude=excluded)
    codes = jobs.last.codes()
    jobs.restore(published, target)

    told = codes.get(EXTERNAL, 0) + codes.get(SKIPPED, 0)
    kept = links(target)
    assert len(kept) + told == made if not excluded else len(kept) + told <= made
    for name in kept:
        place = kernels_answer(target / name)
        assert place is None or place.is_relative_to(target.resolve())


def kernels_answer(path: Path) -> Path | None:
    try:
        fd = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{fd}").readlink()
    finally:
        os.close(fd)

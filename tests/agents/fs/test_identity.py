"""What was backed up and restored is the same tree, to the last bit of metadata."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agents.fs.jobs import Jobs
from tests.trees import Thing, picture

AS_ROOT = os.geteuid() == 0
NOW_NS = 1_700_000_000_987_654_321

Build = dict[bytes, tuple[str, bytes, int, int]]


def restored(jobs: Jobs, source: Path, target: Path, **variables: object) -> dict[bytes, Thing]:
    jobs.restore(jobs.snapshot(source, **variables), target)
    return picture(target)


def at(root: Path, name: bytes) -> Path:
    return root / os.fsdecode(name)


def test_an_empty_directory_is_a_tree_too(jobs: Jobs, source: Path, target: Path) -> None:
    """A source without anything in it comes back with its own mode and time."""
    source.chmod(0o710)
    os.utime(source, ns=(0, NOW_NS))

    assert restored(jobs, source, target) == picture(source)


@pytest.mark.parametrize(
    "name",
    [b"plain", b"\xff\xfe", b"new\nline", b"tab\t", b" ", b"-rf", b"\\", b"a\x01b", b"..."]
    + [b"n" * length for length in (97, 98, 99, 100, 101, 255)]
    + [b"\xe9" * 255],
)
def test_every_name_comes_back(jobs: Jobs, source: Path, target: Path, name: bytes) -> None:
    """Names of any bytes and length are kept, for files, directories and links."""
    place = at(source, name)
    place.mkdir()
    at(place, name).write_bytes(name)
    at(source, name[:250] + b".l").symlink_to(os.fsdecode(name))

    assert restored(jobs, source, target) == picture(source)


@pytest.mark.parametrize("depth", [1, 20, 63, 64, 65, 70, 200])
def test_deep_directories_come_back(jobs: Jobs, source: Path, target: Path, depth: int) -> None:
    """Paths beyond every limit of the format are kept, with files at every level."""
    place = source
    for level in range(depth):
        place /= f"level-{level:03}"
        place.mkdir()
        (place / "file").write_bytes(b"%d" % level)
        (place / "other").mkdir()

    assert restored(jobs, source, target) == picture(source)


def test_paths_longer_than_the_system_takes_at_once_come_back(
    jobs: Jobs, source: Path, target: Path
) -> None:
    """A tree whose paths exceed the system's limit of 4096 bytes is kept."""
    name = "d" * 200
    root = os.open(source, os.O_RDONLY)
    fd = root
    for _ in range(30):
        os.mkdir(name, dir_fd=fd)
        deeper = os.open(name, os.O_RDONLY, dir_fd=fd)
        if fd != root:
            os.close(fd)
        fd = deeper
    os.close(os.open("leaf", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=fd))
    os.close(fd)
    os.close(root)

    jobs.restore(jobs.snapshot(source), target)

    found = [
        subprocess.run(
            ["find", ".", "-printf", "%M %T@\n"], check=True, cwd=place, capture_output=True
        )
        for place in (source, target)
    ]
    assert found[0].stdout.count(b"\n") == 32
    assert found[1].stdout == found[0].stdout


def test_contents_of_every_size_come_back(jobs: Jobs, source: Path, target: Path) -> None:
    """Empty files, sizes around a block, and files of many pieces are kept."""
    for size in (0, 1, 511, 512, 513, 10240, 2**20 - 1, 2**20 + 1, 3_000_000):
        (source / str(size)).write_bytes(os.urandom(size))

    assert restored(jobs, source, target) == picture(source)


def test_the_content_of_sparse_files_comes_back(jobs: Jobs, source: Path, target: Path) -> None:
    """Holes come back as the zero bytes that they read as."""
    with (source / "sparse").open("wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
        file.truncate(9_000_000)

    assert restored(jobs, source, target) == picture(source)


#: Permissions, set-id bits and the sticky bit. A file that its owner may not read is archived by
#: root only.
MODES = [0, 0o400, 0o644, 0o777, 0o4755, 0o2755, 0o6711, 0o1777]


@pytest.mark.parametrize("mode", [mode for mode in MODES if AS_ROOT or mode & 0o400])
def test_every_mode_comes_back(jobs: Jobs, source: Path, target: Path, mode: int) -> None:
    """Permissions, set-id bits and the sticky bit are kept, on files and directories."""
    (source / "file").touch()
    (source / "file").chmod(mode)
    (source / "directory").mkdir()
    (source / "directory").chmod(mode | 0o500 * (not AS_ROOT))

    assert restored(jobs, source, target) == picture(source)


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_owners_come_back(jobs: Jobs, source: Path, target: Path) -> None:
    """Owner and group are kept by number, for everything in the tree."""
    (source / "directory").mkdir()
    (source / "directory" / "file").write_bytes(b"x")
    (source / "link").symlink_to("directory")
    for number, path in enumerate((source, *source.rglob("*"))):
        os.chown(path, 10_000 + number, 3_000_000_000 + number, follow_symlinks=False)
    (source / "directory" / "file").chmod(0o6755)

    assert restored(jobs, source, target) == picture(source)


@pytest.mark.parametrize("mtime_ns", [0, 1, -1_500_000_000, NOW_NS, 2**33 * 10**9 + 1])
def test_every_time_comes_back(jobs: Jobs, source: Path, target: Path, mtime_ns: int) -> None:
    """Times before 1970, after 2038 and between seconds are kept, those of links too."""
    (source / "directory").mkdir()
    (source / "directory" / "file").touch()
    (source / "link").symlink_to("directory")
    for path in (source / "directory" / "file", source / "directory", source / "link", source):
        os.utime(path, ns=(NOW_NS, mtime_ns), follow_symlinks=False)

    assert restored(jobs, source, target) == picture(source)


def test_hard_links_come_back(jobs: Jobs, source: Path, target: Path) -> None:
    """Files with several names are one file again, and those outside the source are files."""
    outside = source.parent / "outside"
    outside.write_bytes(b"half outside")
    (source / "a" / "b").mkdir(parents=True)
    (source / "one").write_bytes(b"shared")
    (source / "one").chmod(0o600)
    (source / "a" / "two").hardlink_to(source / "one")
    (source / "a" / "b" / "three").hardlink_to(source / "one")
    (source / "a" / "four").hardlink_to(outside)

    found = restored(jobs, source, target)

    assert found == picture(source)
    assert (target / "one").stat().st_nlink == 3
    assert jobs.last.codes() == {}


LINK_TEXTS = [
    b"file", b"./file", b"sub//deep", b"sub/", b"nothing", b"sub/nothing",
    b"sub/../file", b"nothing/../file", b".", b"self", b"\xff\n", b"n" * 255, b"x/" * 400 + b"y",
]  # fmt: skip


@pytest.mark.parametrize("text", LINK_TEXTS, ids=range(len(LINK_TEXTS)))
def test_links_inside_come_back_to_the_byte(
    jobs: Jobs, source: Path, target: Path, text: bytes
) -> None:
    """The text of a link that stays inside is kept as it is, dangling or not."""
    (source / "file").write_bytes(b"x")
    (source / "sub" / "deep").mkdir(parents=True)
    (source / "self").symlink_to(os.fsdecode(text))

    assert restored(jobs, source, target) == picture(source)
    assert jobs.last.codes() == {}


component = st.binary(min_size=1, max_size=40).filter(
    lambda name: not set(name) & {0, ord("/")} and name not in {b".", b".."}
)
names = st.one_of(st.sampled_from([b"a", b"b", b"c"]), component)
times = st.integers(-(2**31) * 10**9, 2**33 * 10**9)
modes = st.integers(0, 0o7777).map(lambda mode: mode if AS_ROOT else mode & 0o777 | 0o700)
texts = st.lists(st.one_of(names, st.sampled_from([b"..", b"."])), min_size=1, max_size=5).map(
    b"/".join
)


@st.composite
def builds(draw: st.DrawFn) -> Build:
    """Trees of up to twelve things, in an order in which they can be made."""
    folders = [b""]
    things: Build = {}
    for _ in range(draw(st.integers(0, 12))):
        folder, leaf = draw(st.sampled_from(folders)), draw(names)
        name = folder + b"/" + leaf if folder else leaf
        if name in things:
            continue
        kind = draw(st.sampled_from(["file", "directory", "link", "second name"]))
        content = draw(st.binary(max_size=1500)) if kind == "file" else draw(texts)
        things[name] = (kind, content, draw(modes), draw(times))
        if kind == "directory":
            folders.append(name)
    return things


def build(root: Path, things: Build) -> None:
    files: list[Path] = []
    for name, (kind, content, _, _) in things.items():
        place = at(root, name)
        if kind == "directory":
            place.mkdir()
        elif kind == "link":
            place.symlink_to(os.fsdecode(content))
        elif kind == "second name" and files:
            place.hardlink_to(files[len(content) % len(files)])
        else:
            place.write_bytes(content)
            files.append(place)
    for name, (kind, _, mode, mtime_ns) in reversed(things.items()):
        place = at(root, name)
        if kind != "link":
            place.chmod(mode)
        os.utime(place, ns=(0, mtime_ns), follow_symlinks=False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(things=builds())
def test_any_tree_comes_back(things: Build, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a tree holds is the same afterwards; links are the policy's business."""
    base = tmp_path_factory.mktemp("any")
    source, target = base / "source", base / "target"
    source.mkdir()
    build(source, things)
    jobs = Jobs(base / "staging")

    found = restored(jobs, source, target)

    expected = picture(source)
    for name, thing in expected.items():
        if thing.kind != "link":
            assert found[name] == thing
        elif name in found and thing.content == found[name].content:
            assert found[name]._replace(first_name=b"") == thing._replace(first_name=b"")
    assert set(found) <= set(expected)

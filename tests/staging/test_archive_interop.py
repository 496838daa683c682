"""Archives between us and three other programs, both ways, over trees of every kind."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from baqup_agent.security.member import Kind
from tests.staging.archives import (
    NOW_NS,
    Seen,
    archive_of,
    bsdtar,
    look,
    need,
    run,
    seen_in,
    tar,
    unlike,
)

BLOCK = 4096


class Node(NamedTuple):
    """One thing to make: a kind, a name, and what that kind needs."""

    kind: str
    name: bytes
    mode: int = 0o644
    mtime_ns: int = NOW_NS
    content: bytes = b""
    holes: tuple[int, ...] = ()
    xattrs: tuple[tuple[str, bytes], ...] = ()


def letters(length: int, of: bytes = b"n") -> bytes:
    return (of * length)[:length]


def is_name(name: bytes) -> bool:
    return not set(name) & {0, ord("/")} and name not in {b".", b".."} and len(name) < 256


leaf = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.text("aé\n\\ .%=*[\x01\x7f", min_size=1, max_size=60).map(str.encode),
    st.integers(93, 255).map(letters),
    st.sampled_from([b"ends.", b" ", b"-x", b"new\nline", b"back\\slash", b"\xff\xfe", b"a=b"]),
).filter(is_name)

times = st.one_of(
    # What ustar holds ends here; where it ends for us is another test's.
    st.integers(-(2**31) * 10**9, 8**11 * 10**9 - 1),
    st.sampled_from([0, 1, -1, NOW_NS, NOW_NS // 10**9 * 10**9, -(10**9) - 1, 2**31 * 10**9]),
)

attributes = st.lists(
    st.tuples(
        st.sampled_from(["user.a", "user.long" + "n" * 100, "user.é"]),
        st.binary(min_size=1, max_size=300),
    ),
    max_size=3,
    unique_by=lambda pair: pair[0],
).map(tuple)

nodes = st.builds(
    Node,
    st.sampled_from(["file", "file", "directory", "symlink", "hardlink", "sparse"]),
    leaf,
    st.sampled_from([0o644, 0o755, 0o600, 0o7755, 0o2700]),
    times,
    st.binary(max_size=1500),
    st.lists(st.integers(0, 60), max_size=6).map(tuple),
    attributes,
)
trees = st.lists(nodes, max_size=10, unique_by=lambda node: node.name)

#: Every kind, and the lengths at which ustar's fields end.
FULL = [
    Node("directory", b"d" * 155),
    *(Node("file", letters(n, b"f"), content=b"x" * n) for n in (97, 98, 99, 100, 155, 255)),
    Node("symlink", b"link", content=b"target/" * 40),
    Node("hardlink", b"second name"),
    Node("sparse", b"s" * 200, content=b"data", holes=(1, 20), xattrs=(("user.a", b"=\n\0"),)),
    Node("sparse", b"only a hole"),
    Node("sparse", b"hole at the end", content=b"data", holes=(0, 5)),
    Node("file", b"\xff" * 101, mtime_ns=-1, xattrs=(("user.x", b"%25=%3D"),)),
]


def make(root: Path, tree: list[Node], *, xattrs: bool) -> None:
    """Make a tree: things alternate between the root and the latest directory."""
    folder, files = root, list[Path]()
    made: list[tuple[Path, Node]] = []
    for turn, node in enumerate(tree):
        path = (folder if turn % 2 else root) / os.fsdecode(node.name)
        if path.is_symlink() or path.exists():
            continue
        if node.kind == "directory":
            path.mkdir()
            folder = path
        elif node.kind == "symlink":
            path.symlink_to(os.fsdecode(node.content.replace(b"\0", b"") or b"x"))
        elif node.kind == "hardlink" and files:
            path.hardlink_to(files[-1])
            continue
        else:
            _fill(path, node)
            files.append(path)
        made.append((path, node))
    for path, node in [*reversed(made), (root, Node("directory", b"", 0o755))]:
        if not path.is_symlink():
            for name, value in node.xattrs if xattrs else ():
                os.setxattr(path, name, value)
            path.chmod(node.mode | (0o700 if path.is_dir() else 0))
        os.utime(path, ns=(0, node.mtime_ns), follow_symlinks=False)


def _fill(path: Path, node: Node) -> None:
    with path.open("wb") as file:
        if node.kind != "sparse":
            file.write(node.content)
            return
        for hole in node.holes:
            file.seek(hole * BLOCK, os.SEEK_CUR)
            file.write(node.content)
        file.truncate(file.tell() + len(node.content) * 7)


@pytest.fixture(scope="module")
def xattrs(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether the filesystem of the tests keeps extended attributes."""
    probe = tmp_path_factory.mktemp("probe") / "f"
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        return False
    return True


@contextmanager
def a_tree(tree: list[Node], *, xattrs: bool) -> Iterator[tuple[Path, Path]]:
    """A tree on disk, and an empty directory."""
    with tempfile.TemporaryDirectory() as base:
        root, out = Path(base, "tree"), Path(base, "out")
        root.mkdir()
        out.mkdir()
        make(root, tree, xattrs=xattrs)
        yield root, out


brief = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PERMISSIONS = ["-p", "--numeric-owner"]
EVERY_XATTR = ["--xattrs", "--xattrs-include=*"]


@brief
@example(FULL)
@given(trees)
def test_our_reader_finds_what_was_on_disk(xattrs: bool, tree: list[Node]) -> None:
    """A tree that we wrote is read by us to the last attribute, byte and nanosecond."""
    with a_tree(tree, xattrs=xattrs) as (root, _):
        assert unlike(seen_in(archive_of(root)), look(root)) == []


@brief
@example(FULL)
@given(trees)
def test_gnu_tar_restores_every_tree(xattrs: bool, tree: list[Node]) -> None:
    """GNU tar brings a tree of ours back as it was."""
    with a_tree(tree, xattrs=xattrs) as (root, out):
        options = ["-x", *PERMISSIONS, *(EVERY_XATTR if xattrs else [])]
        tar(*options, "--warning=no-timestamp", "-C", out, "-f", "-", stdin=archive_of(root))

        assert unlike(look(out), look(root)) == []


@brief
@example(FULL)
@given(trees)
def test_bsdtar_restores_every_tree(xattrs: bool, tree: list[Node]) -> None:
    """bsdtar brings a tree of ours back as it was."""
    with a_tree(for_bsdtar(tree), xattrs=xattrs) as (root, out):
        bsdtar("-x", *PERMISSIONS, "-C", out, "-f", "-", stdin=archive_of(root))

        # It leaves the time of the root to the system.
        found = look(out)
        found[b""] = found[b""]._replace(mtime_ns=NOW_NS)
        assert unlike(found, look(root)) == []


def for_bsdtar(tree: list[Node]) -> list[Node]:
    """Leave out what bsdtar 3.6 does in its own way, with its own archives as well.

    It takes the fraction of a time before 1970 with the wrong sign, and has other escapes for
    the names of attributes.
    """
    return [
        node._replace(
            mtime_ns=abs(node.mtime_ns),
            xattrs=tuple(pair for pair in node.xattrs if pair[0].isascii()),
        )
        for node in tree
    ]


@brief
@example(FULL)
@given(trees)
def test_tarfile_reads_every_tree(xattrs: bool, tree: list[Node]) -> None:
    """Python's own module finds the same members and contents in an archive of ours."""
    with a_tree(tree, xattrs=xattrs) as (root, _):
        expected = look(root)
        with tarfile.open(fileobj=io.BytesIO(archive_of(root)), encoding="utf-8") as archive:
            found = {_short(info.name): info for info in archive}
            assert found.keys() == expected.keys()
            for name, seen in expected.items():
                info = found[name]
                assert _mode(info) == (seen.mode, *seen.owner)
                # Its times are floats.
                assert abs(float(info.mtime) - seen.mtime_ns / 1e9) < 1e-5
                if seen.kind is Kind.FILE:
                    content = archive.extractfile(info)
                    assert content is not None
                    assert content.read() == seen.content
                elif seen.kind is Kind.SYMLINK:
                    assert os.fsencode(info.linkname) == seen.content


def _short(name: str) -> bytes:
    return os.fsencode(name).removeprefix(b".").removeprefix(b"/").rstrip(b"/")


def _mode(info: tarfile.TarInfo) -> tuple[int, int, int]:
    return info.mode, info.uid, info.gid


def _without(seen: dict[bytes, Seen], *, nanoseconds: bool, xattrs: bool) -> dict[bytes, Seen]:
    """What a poorer format keeps."""
    return {
        name: thing._replace(
            mtime_ns=thing.mtime_ns if nanoseconds else thing.mtime_ns // 10**9,
            xattrs=thing.xattrs if xattrs else {},
        )
        for name, thing in seen.items()
    }


RICH = [["--format=pax", f"--sparse-version={v}", "-S"] for v in ("0.0", "0.1", "1.0")]


FORMS = [*RICH, ["--format=pax"], ["--format=gnu", "-S"], ["--format=gnu"]]


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
@settings(brief, max_examples=8)
@example(FULL)
@given(trees)
def test_what_gnu_tar_writes_is_read(xattrs: bool, form: list[str], tree: list[Node]) -> None:
    """An archive of GNU tar's says to us what is on disk, in each of its formats."""
    rich = form[0] == "--format=pax"
    with a_tree(tree, xattrs=xattrs) as (root, _):
        options = EVERY_XATTR if rich and xattrs else []
        data = tar("-c", *form, *options, "--numeric-owner", "-C", root, ".")

        found = _without(seen_in(data), nanoseconds=rich, xattrs=rich)
        expected = _without(look(root), nanoseconds=rich, xattrs=rich)
        assert unlike(found, expected) == []


@pytest.mark.parametrize("form", ["pax", "gnutar", "ustar"])
@settings(brief, max_examples=8)
@given(trees)
def test_what_bsdtar_writes_is_read(xattrs: bool, form: str, tree: list[Node]) -> None:
    """An archive of bsdtar's says to us what is on disk, as far as its format holds it."""
    rich = form == "pax"
    # It refuses names that are no text, and a ustar header has its limits.
    tree = [node for node in for_bsdtar(tree) if node.name.isascii()]
    if form == "ustar":
        tree = [node for node in tree if len(node.name) < 20 and len(node.content) < 100]
    tree = [node._replace(content=letters(len(node.content))) for node in tree]
    with a_tree(tree, xattrs=xattrs) as (root, _):
        data = bsdtar("-c", f"--format={form}", "--numeric-owner", "-f", "-", "-C", root, ".")

        found = _without(seen_in(data), nanoseconds=rich, xattrs=rich)
        expected = _without(look(root), nanoseconds=rich, xattrs=rich)
        assert unlike(found, expected) == []


@pytest.fixture
def listed_tree(tmp_path: Path) -> Path:
    """A tree with access lists."""
    need("setfacl")
    root = tmp_path / "tree"
    (root / "d").mkdir(parents=True)
    (root / "d" / "f").write_bytes(b"content")
    try:
        run(["setfacl", "-m", "u:12345:rw,g:54321:r", root / "d" / "f"])
        run(["setfacl", "-m", "u:12345:rwx,d:u:12345:rx,d:g:7:-", root / "d"])
    except AssertionError as error:
        if "not supported" not in str(error):
            raise
        pytest.skip("the filesystem of the tests keeps no access lists")
    assert b"system.posix_acl_access" in look(root)[b"d/f"].xattrs
    return root


@pytest.mark.parametrize(
    "program",
    [
        ["tar", "-x", "-p", *EVERY_XATTR],
        ["tar", "-x", "-p", "--acls"],
        ["tar", "-x", "-p", "--acls", *EVERY_XATTR],
        ["bsdtar", "-x", "-p"],
    ],
    ids=" ".join,
)
def test_access_lists_are_restored(listed_tree: Path, tmp_path: Path, program: list[str]) -> None:
    """Both programs restore the access lists in an archive of ours, by either of their ways."""
    out = tmp_path / "out"
    out.mkdir()

    run([*program, "-C", out, "-f", "-"], stdin=archive_of(listed_tree))

    found, expected = look(out), look(listed_tree)
    if program[0] == "bsdtar":  # it leaves the time of the root to the system
        found[b""] = found[b""]._replace(mtime_ns=expected[b""].mtime_ns)
    assert unlike(found, expected) == []


@pytest.mark.parametrize(
    "program",
    [
        ["tar", "-c", "--format=pax", *EVERY_XATTR],
        ["tar", "-c", "--format=pax", "--acls"],
        ["tar", "-c", "--format=pax", "--acls", "--numeric-owner"],
        ["bsdtar", "-c", "--format=pax"],
    ],
    ids=" ".join,
)
def test_access_lists_of_others_are_read(listed_tree: Path, program: list[str]) -> None:
    """Access lists are read as the attribute they stand for, in whichever way they are told."""
    data = run([*program, "-f", "-", "-C", listed_tree, "."])

    found, expected = seen_in(data), look(listed_tree)
    if program[0] == "bsdtar":
        # The group's bits of a mode are its own then, not the mask's; the list says both.
        found, expected = (
            {name: thing._replace(mode=thing.mode & ~0o070) for name, thing in seen.items()}
            for seen in (found, expected)
        )
    assert unlike(found, expected) == []


def test_the_largest_directory_of_edges_is_listed_alike(tmp_path: Path) -> None:
    """GNU tar and bsdtar list names at the edges of ustar's fields as we wrote them."""
    make(tmp_path, FULL, xattrs=False)
    data = archive_of(tmp_path)
    names = sorted(name for name in look(tmp_path) if name)

    by_tar = tar("-t", "--quoting-style=literal", "-f", "-", stdin=data).split(b"\n")
    by_bsdtar = bsdtar("-tf", "-", stdin=data).split(b"\n")

    assert sorted(line[2:].rstrip(b"/") for line in by_tar if len(line) > 2) == names
    assert len(by_bsdtar) == len(by_tar)


def test_modes_are_those_of_the_disk(tmp_path: Path) -> None:
    """Set-id and sticky bits travel, the kind of a thing does not hide in its mode."""
    (tmp_path / "f").touch()
    (tmp_path / "f").chmod(0o7751)

    (member,) = (thing for name, thing in seen_in(archive_of(tmp_path)).items() if name)

    assert member.mode == stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o7751

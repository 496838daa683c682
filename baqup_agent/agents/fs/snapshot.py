"""The role ``snapshot``: a directory becomes ``data.tar``."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from baqup_agent.agents.fs.estimate import estimate_bytes
from baqup_agent.agents.fs.excludes import compile_excludes
from baqup_agent.agents.fs.hardlinks import HardLinks
from baqup_agent.agents.fs.links import LinkPolicy
from baqup_agent.agents.fs.notes import Note, note_missed, notes_of
from baqup_agent.agents.fs.places import check_apart, open_source
from baqup_agent.agents.fs.walk import Found, Rules, Walk, What
from baqup_agent.errors import IOFailure
from baqup_agent.security.beneath import Tree
from baqup_agent.security.member import Kind, Member, printable
from baqup_agent.staging.archive import ArchiveWriter

if TYPE_CHECKING:
    from baqup_agent import Job

#: The artifact's name before compression appends its suffix.
ARTIFACT = "data.tar"

_PIECE_BYTES = 1024 * 1024
_SHOW_EVERY_S = 0.1
# Not to wait for the writer of a fifo that has taken a file's place meanwhile.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {What.DIRECTORY: Kind.DIRECTORY, What.LINK: Kind.SYMLINK}


def snapshot(job: Job) -> None:
    """Archive ``BAQUP_SOURCE_PATH``.

    Raises:
        ConfigError: source and staging lie in each other, or a pattern is malformed.
        SourceUnavailable: the source is no directory that can be read.
        LimitExceeded: it holds more than the limits allow.
        DataError: the policy refuses a link in it.
        IOFailure: reading or writing failed.
    """
    source: Path = job.config["BAQUP_SOURCE_PATH"]
    check_apart("BAQUP_SOURCE_PATH", source, "BAQUP_STAGING_DIR", job.config["BAQUP_STAGING_DIR"])
    with job.span("agent.connect_source"):
        root = open_source(source)
    try:
        with Tree(root) as tree, Tree(root) as link_tree:
            rules = _rules(job, source, link_tree)
            with job.staging.artifact(ARTIFACT) as out:
                archive = ArchiveWriter(out)
                _Snapshot(job, archive, estimate_bytes(tree, rules)).run(tree, rules, source)
                archive.close()
    finally:
        os.close(root)


def _rules(job: Job, source: Path, tree: Tree) -> Rules:
    config = job.config
    return Rules(
        excluded=compile_excludes(config.get("BAQUP_SOURCE_EXCLUDE") or ()),
        links=LinkPolicy(config["BAQUP_SOURCE_FOLLOW_SYMLINKS"], os.fsencode(source), tree),
        max_files=config["BAQUP_SOURCE_MAX_FILES"],
        max_depth=config["BAQUP_SOURCE_MAX_DEPTH"],
    )


class _Snapshot:
    def __init__(self, job: Job, archive: ArchiveWriter, expected_bytes: int | None) -> None:
        self._job = job
        self._archive = archive
        self._expected_bytes = expected_bytes
        self._note: Note = notes_of(job)
        self._hardlinks = HardLinks()
        self._files = 0
        self._bytes = 0
        self._began_s = time.monotonic()
        self._shown_s = 0.0

    def run(self, tree: Tree, rules: Rules, source: Path) -> None:
        walk = Walk(tree, rules, self._note)
        for found in walk:
            self._job.cancellation.check()
            if found.what is What.FILE:
                self._add_file(found)
            elif found.attributes is not None:
                kind = _KINDS[found.what]
                self._archive.add(_member(kind, found.name, found.attributes, link=found.text))
                self._files += kind is Kind.SYMLINK
            self._show(found.name)
        self._finish(walk, source)

    def _finish(self, walk: Walk, source: Path) -> None:
        # Where nothing was expected, all of it has been read.
        self._job.progress(
            percent_complete=100, bytes_processed=self._bytes, files_processed=self._files
        )
        self._job.metadata(
            type="filesystem",
            path=printable(os.fsencode(source)),
            files_included=self._files,
            files_excluded=walk.excluded,
            total_bytes_source=self._bytes,
        )
        self._job.log.info(
            "source archived",
            files=self._files,
            excluded=walk.excluded,
            bytes=self._bytes,
            archive_bytes=self._archive.size_bytes,
        )

    def _add_file(self, found: Found) -> None:
        try:
            fd = os.open(found.leaf, _READ, dir_fd=found.directory)
        except OSError as error:
            if note_missed(self._note, found.name, error):
                return
            raise _unreadable(found.name, error) from error
        try:
            self._add_open_file(found, fd)
        finally:
            os.close(fd)

    def _add_open_file(self, found: Found, fd: int) -> None:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            self._note("FILE_CHANGED", found.name, "left out: it became something else")
            return
        # What stands in a link's place is a copy: its other names are not the file's own.
        earlier = None if found.followed else self._hardlinks.earlier(before)
        if earlier is not None:
            self._archive.add(_member(Kind.HARDLINK, found.name, before, link=earlier))
            self._files += 1
            return
        member = _member(Kind.FILE, found.name, before, size=before.st_size)
        read = self._archive.add_file(member, self._content(found.name, fd, before.st_size))
        self._files += 1
        if not found.followed:
            self._hardlinks.archived(before, found.name)
        if read < before.st_size or _differs(before, os.fstat(fd)):
            self._note("FILE_CHANGED", found.name, _change(read, before.st_size))

    def _content(self, name: bytes, fd: int, size: int) -> Iterator[bytes]:
        missing = size
        while missing:
            with _reading(name):
                piece = os.read(fd, min(missing, _PIECE_BYTES))
            if not piece:
                return
            missing -= len(piece)
            self._bytes += len(piece)
            yield piece
            if missing:
                self._job.cancellation.check()
                self._show(name)

    def _show(self, name: bytes) -> None:
        now = time.monotonic()
        if now - self._shown_s < _SHOW_EVERY_S:
            return
        self._shown_s = now
        percent, remaining_s = self._outlook(now)
        self._job.progress(
            percent_complete=percent,
            bytes_processed=self._bytes,
            files_processed=self._files,
            current_file=printable(name) or ".",
            estimated_remaining_seconds=remaining_s,
        )

    def _outlook(self, now: float) -> tuple[float | None, float | None]:
        """Return the percentage done and the seconds left, where the size was estimated."""
        if not self._expected_bytes or not self._bytes:
            return None, None
        share = min(self._bytes / self._expected_bytes, 0.99)
        spent_s = now - self._began_s
        return round(share * 100, 1), round(spent_s * (1 - share) / share, 1)


def _member(
    kind: Kind, name: bytes, found: os.stat_result, *, size: int = 0, link: bytes = b""
) -> Member:
    return Member(
        kind,
        name,
        stat.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        size,
        found.st_mtime_ns,
        link,
    )


def _differs(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _change(read: int, size: int) -> str:
    if read < size:
        return f"shrank from {size} to {read} bytes while it was read; the rest is zero bytes"
    return "changed while it was read; its content may be of two moments"


@contextmanager
def _reading(name: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: bytes, error: OSError) -> IOFailure:
    return IOFailure(
        f"{printable(name)!r} of the source cannot be read: {error.strerror}; "
        "check the source's filesystem"
    )

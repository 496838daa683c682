"""Puts what a walk finds into an archive; the inner loop of a snapshot.

A file costs a few system calls and as little else as possible: open, fstat, listxattr, read, fstat
again, close. A file that changes while it is read takes exactly the size that it had.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from baqup_agent.agents.fs.anomalies import EVERY, Anomalies
from baqup_agent.agents.fs.attributes import Xattrs, extents_of, may_have_holes
from baqup_agent.agents.fs.hardlinks import HardLinks
from baqup_agent.agents.fs.meter import Meter
from baqup_agent.agents.fs.notes import Note, note_missed
from baqup_agent.agents.fs.walk import Found, Walk, What
from baqup_agent.errors import IOFailure
from baqup_agent.security.member import MODE_MASK, Extents, Kind, Member, printable
from baqup_agent.staging.archive import ArchiveWriter

if TYPE_CHECKING:
    from baqup_agent import Job
    from baqup_agent.agents.fs.leaves import Leaves

#: Bytes of a file whose reading is announced, and what is read in a second on a slow disk.
LARGE_BYTES, _SLOW_BYTES_PER_S = 1 << 30, 50_000_000

#: Files between two looks at clock and cancellation; a power of two.
_LOOK_EVERY = 16

# Not to wait for the writer of a fifo that has taken a file's place meanwhile.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

#: Where the kernel says how long the holder of a lease may take to give it back, seconds; what it
#: says unless somebody set it; and what is waited beyond that, and between two tries.
_LEASE_BREAK, _LEASE_BREAK_S = Path("/proc/sys/fs/lease-break-time"), 45
_GRACE_S, _TRY_AGAIN_S = 5, 0.1

# Looking members of an enum up takes its time.
_FILE, _LINK = What.FILE, What.LINK
_PLAIN, _SYMLINK, _DIRECTORY, _HARDLINK = Kind.FILE, Kind.SYMLINK, Kind.DIRECTORY, Kind.HARDLINK

_NO_XATTRS: Mapping[bytes, bytes] = {}

_HELD = "left out: another program holds it by a lease and does not give it back"

_INCONSISTENT = "changed while it was read; its content may be of two moments"


class Archiving:
    """One snapshot in the making.

    Args:
        job: the job.
        archive: takes the members.
        walk: finds them.
        note: told of what is left out or may be inconsistent.
        meter: told of what was done.
        anomalies: looks at the files; None to leave that.

    Attributes:
        regular_files: files met so far, second names of the same file not counted.
        empty_files: those of them without content.
    """

    def __init__(
        self,
        job: Job[Leaves],
        archive: ArchiveWriter,
        walk: Walk,
        note: Note,
        meter: Meter,
        anomalies: Anomalies | None,
    ) -> None:
        self.regular_files = 0
        self.empty_files = 0
        self._job = job
        self._archive = archive
        self._walk = walk
        self._note = note
        self._meter = meter
        self._anomalies = anomalies
        self._hardlinks = HardLinks(note)
        self._xattrs = Xattrs(note).of if job.config["BAQUP_SOURCE_XATTRS"] else _no_xattrs
        self._one_file_system = bool(job.config["BAQUP_SOURCE_ONE_FILE_SYSTEM"])

    def run(self) -> None:
        """Archive everything.

        Raises:
            JobCancelled: the job must stop.
            IOFailure: a file or a directory could not be read.
        """
        meter = self._meter
        for found in self._walk:
            if found.what is _FILE:
                self._open(found)
                if not meter.files % _LOOK_EVERY:
                    meter.at(found.name)
            elif found.attributes is not None:
                self._add_other(found, found.attributes)
                meter.at(found.name)

    def _add_other(self, found: Found, attributes: os.stat_result) -> None:
        if found.what is _LINK:
            self._meter.files += 1
            self._archive.add(_member(_SYMLINK, found.name, attributes, found.text))
            return
        readable = found.directory >= 0
        xattrs = self._xattrs(found.directory, attributes, found.name) if readable else _NO_XATTRS
        self._archive.add(_member(_DIRECTORY, found.name, attributes, b"", xattrs))

    def _open(self, found: Found) -> None:
        try:
            try:
                fd = os.open(found.leaf, _READ, dir_fd=found.directory)
            except BlockingIOError:
                fd = self._open_leased(found)
        except OSError as error:
            self._miss(found.name, error)
            return
        try:
            self._add(found, fd)
        finally:
            os.close(fd)

    def _open_leased(self, found: Found) -> int:
        """Open a file on which another program, Samba for one, holds a lease.

        The first try has asked for it already, and a blocking one would not hear of cancellation.

        Raises:
            BlockingIOError: even the kernel, which breaks the lease in the end, did not help.
            OSError: the file cannot be opened for another reason.
            JobCancelled: the job must stop.
        """
        end_s = time.monotonic() + _patience_s()
        while True:
            self._meter.at(found.name)
            self._job.cancellation.sleep(_TRY_AGAIN_S)
            try:
                return os.open(found.leaf, _READ, dir_fd=found.directory)
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise

    def _miss(self, name: bytes, error: OSError) -> None:
        if isinstance(error, BlockingIOError):
            self._note("PERMISSION_DENIED", name, _HELD)  # a refusal like any other to the policy
        elif not note_missed(self._note, name, error):
            raise _unreadable(name, error) from error

    def _add(self, found: Found, fd: int) -> None:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            self._note("FILE_CHANGED", found.name, "left out: it became something else")
            return
        if self._one_file_system and self._walk.elsewhere(before):
            self._note("MOUNT_POINT_SKIPPED", found.name, "left out: on another filesystem")
            return
        self._meter.files += 1
        # What stands in a link's place is a copy: its other names are not the file's own.
        several = before.st_nlink > 1 and not found.followed
        earlier = self._hardlinks.earlier(before, found.name) if several else None
        if earlier is not None:
            self._archive.add(_member(_HARDLINK, found.name, before, earlier))
            return
        self.regular_files += 1
        if self._anomalies is not None and not self.regular_files % EVERY:
            self._anomalies.look(found.name, fd, before.st_size)
        xattrs = self._xattrs(fd, before, found.name)
        if before.st_size:
            self._add_content(found.name, fd, before, xattrs)
        else:
            self.empty_files += 1
            self._archive.add(_member(_PLAIN, found.name, before, b"", xattrs))
        if several:
            self._hardlinks.archived(before, found.name)

    def _add_content(
        self, name: bytes, fd: int, before: os.stat_result, xattrs: Mapping[bytes, bytes]
    ) -> None:
        size = before.st_size
        try:
            extents = extents_of(fd, size) if may_have_holes(before) else None
            member = _member(_PLAIN, name, before, b"", xattrs, size, extents)
            if size < LARGE_BYTES:
                read = self._archive.add_file(member, fd, on_bytes=self._meter.read)
            else:
                with self._announced(name, member.stored_bytes):
                    read = self._archive.add_file(member, fd, on_bytes=self._meter.read)
            after = os.fstat(fd)
        except OSError as error:
            raise _unreadable(name, error) from error
        # Whatever changes the size or the time of modification changes this time too.
        if read < member.stored_bytes:
            sizes = f"gave {read} of {member.stored_bytes} bytes"
            self._note("FILE_CHANGED", name, f"{sizes} when it was read; the rest is zero bytes")
        elif before.st_ctime_ns != after.st_ctime_ns or size != after.st_size:
            self._note("FILE_CHANGED", name, _INCONSISTENT)

    def _announced(self, name: bytes, size: int) -> AbstractContextManager[None]:
        """The intent to archive a file that will take its time."""
        self._meter.at(name)
        return self._job.intent(
            "archive_large_file",
            expected_duration_s=10 + size / _SLOW_BYTES_PER_S,
            detail=printable(name),
        )


def _patience_s() -> float:
    """Seconds after which a lease is no longer waited for."""
    try:
        break_s = int(_LEASE_BREAK.read_text())
    except (OSError, ValueError):
        break_s = _LEASE_BREAK_S
    return break_s + _GRACE_S


def _no_xattrs(_fd: int, _found: os.stat_result, _name: bytes) -> Mapping[bytes, bytes]:
    return _NO_XATTRS


def _member(
    kind: Kind,
    name: bytes,
    found: os.stat_result,
    link: bytes = b"",
    xattrs: Mapping[bytes, bytes] = _NO_XATTRS,
    size: int = 0,
    extents: Extents | None = None,
) -> Member:
    # Calling the class runs a function of Python, which takes three times as long.
    return tuple.__new__(
        Member,
        (
            kind,
            name,
            found.st_mode & MODE_MASK,
            found.st_uid,
            found.st_gid,
            size,
            found.st_mtime_ns,
            link,
            xattrs,
            extents,
        ),
    )


def _unreadable(name: bytes, error: OSError) -> IOFailure:
    return IOFailure(
        f"{printable(name)!r} of the source cannot be read: {error.strerror}; "
        "check the source's filesystem"
    )

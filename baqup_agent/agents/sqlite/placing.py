"""Putting a restored database in its place without a moment at which there is half of one."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define

from baqup_agent.agents.sqlite.access import Mode, connect
from baqup_agent.agents.sqlite.names import COMPANIONS, shown
from baqup_agent.agents.sqlite.refusals import is_busy
from baqup_agent.errors import IOFailure, OutputError, PathEscape

if TYPE_CHECKING:
    from baqup_agent import Job

_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750

#: What a filesystem without hard links answers.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


@define
class Place:
    """Where one database is restored to.

    Attributes:
        job: is told of what could not be kept.
        root: the directory that must not be left.
        path: the database.
        scratch: its name while it is being written, in the same directory.
        replace: whether what is there is replaced.
        filled: whether the database was put there.
    """

    job: Job[Any]
    root: Path
    path: Path
    scratch: Path
    replace: bool
    filled: bool = False

    @classmethod
    def of(cls, job: Job[Any], target: Path, name: str, replace: bool) -> Place:  # noqa: FBT001
        """Return the place of a database.

        Args:
            job: the job.
            target: ``BAQUP_TARGET_PATH``.
            name: the path below it; empty where it is the database itself.
            replace: whether what is there is replaced.
        """
        absolute = target.absolute()
        path = absolute / name if name else absolute
        scratch = path.with_name(f".{path.name[:200]}.{job.id[:8]}.restoring")
        return cls(job, absolute if name else absolute.parent, path, scratch, replace)

    def check(self) -> None:
        """Find out, without touching anything, whether something is in the way.

        Raises:
            OutputError: there is, and it must not be replaced.
            PathEscape: a link on the way leads out of the target.
        """
        if not self.path.parent.resolve().is_relative_to(self.root.resolve()):
            raise PathEscape(
                f"{shown(os.fspath(self.path))!r} lies behind a link that leads out of "
                "BAQUP_TARGET_PATH; remove the link, or name another target"
            )
        text = shown(os.fspath(self.path))
        if os.path.lexists(self.path):
            if self.path.is_symlink() or not self.path.is_file():
                raise OutputError(
                    f"{text!r} is in the way and is no regular file; remove it, or name another "
                    "BAQUP_TARGET_PATH",
                    retriable=False,
                )
            if not self.replace:
                raise self._refused(f"{text!r} exists")
            return
        left = [name for name in COMPANIONS if os.path.lexists(f"{self.path}{name}")]
        if left and not self.replace:
            # SQLite would play the log of another database into the restored one.
            raise self._refused(f"{text + left[0]!r} is left of a database that is gone")

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Make the file to be filled; it is removed if the block raises.

        Raises:
            OutputError: it cannot be made.
            IOFailure: it could not be written.
        """
        try:
            self.path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self.check()
            self.scratch.unlink(missing_ok=True)  # of an attempt at this job that was killed
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self.scratch, flags, _FILE_MODE)
        except OSError as error:
            raise OutputError(
                f"{shown(os.fspath(self.path))!r} cannot be made: {error.strerror}; "
                "let BAQUP_TARGET_PATH be a place that the agent may write"
            ) from error
        try:
            try:
                yield fd
            finally:
                os.close(fd)
        except BaseException as error:
            with suppress(OSError):
                self.scratch.unlink()
            if isinstance(error, OSError):
                raise self._unwritten(error) from error
            raise

    def put(self) -> None:
        """Give the filled file the database's name, and sync the directory.

        Raises:
            OutputError: something is in the way, or others have the database open.
            IOFailure: it could not be renamed.
        """
        try:
            if os.path.lexists(self.path):
                self._replace()
            else:
                self._add()
            self._sync()
        except OSError as error:
            raise self._unwritten(error) from error
        finally:
            with suppress(OSError):
                self.scratch.unlink()
        self.filled = True

    def _add(self) -> None:
        self.check()
        self._remove_companions()
        try:
            os.link(self.scratch, self.path)  # unlike a rename it never replaces
        except FileExistsError as error:
            raise self._refused(f"{shown(os.fspath(self.path))!r} appeared meanwhile") from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self.scratch.rename(self.path)

    def _replace(self) -> None:
        self.check()
        self._dress()
        with closing(connect(self.path, Mode.WRITABLE, timeout_s=0)) as old:
            self._fold(old)
            self._remove_companions()
            self.scratch.replace(self.path)
        self.job.event(
            "DATABASE_REPLACED",
            message="replaced by its backup",
            path=shown(os.fspath(self.path)),
        )

    def _fold(self, old: sqlite3.Connection) -> None:
        """Make sure that nobody uses the old database, and take its log into it.

        After that it is whole without the files beside it: a crash before the rename loses
        nothing. What is no database has no users that could be found out, and no log.
        """
        try:
            old.execute("pragma locking_mode = exclusive")
            old.execute("pragma journal_mode = delete")
            old.execute("begin exclusive")
        except sqlite3.Error as error:
            if is_busy(error):
                raise OutputError(
                    f"{shown(os.fspath(self.path))!r} is in use; stop what has it open first",
                    code="DATABASE_IN_USE",
                ) from error
            self.job.log.warn("what is replaced is no usable database", reason=str(error))

    def _remove_companions(self) -> None:
        for name in COMPANIONS:
            Path(f"{self.path}{name}").unlink(missing_ok=True)

    def _dress(self) -> None:
        facts = self.path.stat()
        self.scratch.chmod(facts.st_mode & 0o777)
        try:
            os.chown(self.scratch, facts.st_uid, facts.st_gid)
        except PermissionError:
            self.job.warn(
                "OWNER_NOT_KEPT",
                message="only root may give a file away",
                path=shown(os.fspath(self.path)),
            )

    def _sync(self) -> None:
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # some filesystems cannot
                os.fsync(fd)
        finally:
            os.close(fd)

    def _refused(self, what: str) -> OutputError:
        return OutputError(
            f"{what}; restore to another place, or set BAQUP_TARGET_REPLACE=true to replace it",
            code="TARGET_EXISTS",
            retriable=False,
        )

    def _unwritten(self, error: OSError) -> IOFailure:
        return IOFailure(
            f"{shown(os.fspath(self.path))!r} cannot be written: {error.strerror}; "
            "check the disk of BAQUP_TARGET_PATH"
        )

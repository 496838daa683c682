"""Owners, modes, extended attributes and times, given to what an extraction has made.

As few calls as are right: what the system gives a new file by itself is found out once, and only
what differs is set. The order matters: a change of owner clears set-id bits and capabilities, a
mode may take away the right to set attributes, and whatever is written changes the time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from baqup_agent.security.member import MODE_MASK, SET_ID_MASK, Member

#: Takes an event's code, a member's name and a line about what could not be kept.
Note = Callable[[str, bytes, str], None]

#: Extended attributes as pairs of name and value.
Xattrs = Collection[tuple[bytes, bytes]]

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

_PERMISSIONS = 0o777
_DEFAULT_ACL = "system.posix_acl_default"

#: Attributes that anybody may have restored; others bear on what programs may do.
_ACCESS_LIST = b"system.posix_acl_"
_HARMLESS = (b"user.", _ACCESS_LIST)

#: The system's reasons not to keep an attribute that are no trouble with the disk.
_NOT_KEPT = frozenset(
    {
        errno.ENOTSUP,
        errno.EPERM,
        errno.EACCES,
        errno.EINVAL,
        errno.E2BIG,
        errno.ERANGE,
        errno.ENOSPC,  # of the room that a file has for attributes
        errno.ENODATA,
        errno.ENOENT,  # no /proc to reach a link by
    }
)

#: Root in a container may lack the capability, or the number may not be mapped.
_OWNER_REFUSED = frozenset({errno.EPERM, errno.EINVAL})


class Dresser:
    """Gives things their recorded attributes.

    Args:
        root: descriptor of the directory that everything is made beneath.
        note: is told of what could not be kept.
        owners: give owners and groups, by number, and keep set-id bits.
    """

    def __init__(self, root: int, note: Note, *, owners: bool) -> None:
        self._note = note
        self._owners = owners
        self._privileged = os.geteuid() == 0
        self._root = root
        self._probed = False
        #: Owner and group that a new file has by itself; None if that is unknown.
        self._born: tuple[int, int] | None = None
        #: Bits of a mode that opening a new file cannot be trusted to give it.
        self._inexact = MODE_MASK
        #: Mode and owner of the last file, and whether a new one has them by itself.
        self._alike: tuple[int, int, int] | None = None
        self._exact = False

    def birth(self, member: Member) -> tuple[int, bool]:
        """Return the mode to make a file with, and whether only its time is missing then.

        The mode is its own where it will not change hands. A file that will belong to somebody
        else is nobody's business before it does. One that gets attributes has to be writable.
        """
        _, _, mode, uid, gid, _, _, _, xattrs, _ = member
        if (mode, uid, gid) != self._alike:
            self._alike = (mode, uid, gid)
            if not self._probed:
                self._probe()
            self._exact = not (mode & self._inexact or self._changes_hands(uid, gid))
        return (mode, True) if self._exact and not xattrs else (PRIVATE_FILE, False)

    def file(self, fd: int, member: Member, birth_mode: int) -> None:
        """Dress a file that is open for writing and has all its content.

        Raises:
            OSError: the system refused.
        """
        if self._changes_hands(member.uid, member.gid):
            self._give(fd, member.uid, member.gid, member.name)
        xattrs = member.xattrs.items()
        if xattrs:  # before the mode: the system asks that, and not how the file was opened
            self._set_xattrs(fd, xattrs, member.name)
        if birth_mode != member.mode or member.mode & self._inexact:
            os.fchmod(fd, self._mode(fd, member.mode, member.uid, member.gid, member.name))
        if xattrs:
            self._set_access_lists(fd, xattrs, member.name)
        os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))

    def directory(
        self, fd: int, name: bytes, mode: int, uid: int, gid: int, mtime_ns: int, xattrs: Xattrs
    ) -> None:
        """Dress a directory that has all that goes into it.

        Raises:
            OSError: the system refused.
        """
        if self._changes_hands(uid, gid):
            self._give(fd, uid, gid, name)
        self._set_xattrs(fd, xattrs, name)
        os.fchmod(fd, self._mode(fd, mode, uid, gid, name))
        self._set_access_lists(fd, xattrs, name)
        os.utime(fd, ns=(mtime_ns, mtime_ns))

    def symlink(
        self, parent: int, name: bytes, uid: int, gid: int, mtime_ns: int, xattrs: Xattrs
    ) -> None:
        """Dress a symbolic link, itself and not what it leads to.

        Raises:
            OSError: the system refused.
        """
        leaf = name.rpartition(b"/")[2]
        if self._changes_hands(uid, gid):
            with self._tolerating_owner(name):
                os.chown(leaf, uid, gid, dir_fd=parent, follow_symlinks=False)
        for key, value in xattrs:
            # There is no call for it that takes a descriptor.
            place = b"/proc/self/fd/%d/%b" % (parent, leaf)
            self._set_xattr(place, key, value, name, follow_symlinks=False)
        os.utime(leaf, ns=(mtime_ns, mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _probe(self) -> None:
        """Find out what the system gives a new file by itself."""
        self._probed = True
        born = _born(self._root)
        if born is not None:
            self._born = (born.st_uid, born.st_gid)
            self._inexact = MODE_MASK & ~(born.st_mode & _PERMISSIONS)

    def _changes_hands(self, uid: int, gid: int) -> bool:
        return self._owners and (uid, gid) != self._born

    def _give(self, fd: int, uid: int, gid: int, name: bytes) -> None:
        with self._tolerating_owner(name):
            os.fchown(fd, uid, gid)

    def _mode(self, fd: int, mode: int, uid: int, gid: int, name: bytes) -> int:
        if not mode & SET_ID_MASK:
            return mode
        if self._owners:
            found = os.fstat(fd)
            if (found.st_uid, found.st_gid) == (uid, gid):
                return mode
        self._note("SET_ID_CLEARED", name, "set-id bits without the recorded owner were cleared")
        return mode & ~SET_ID_MASK

    def _set_xattrs(self, fd: int, xattrs: Xattrs, name: bytes) -> None:
        """Set all but access lists."""
        for key, value in xattrs:
            if not key.startswith(_ACCESS_LIST):
                self._set_xattr(fd, key, value, name)

    def _set_access_lists(self, fd: int, xattrs: Xattrs, name: bytes) -> None:
        """Set them after the mode, which would change them; they need no right to write."""
        for key, value in xattrs:
            if key.startswith(_ACCESS_LIST):
                self._set_xattr(fd, key, value, name)

    def _set_xattr(
        self,
        place: int | bytes,
        key: bytes,
        value: bytes,
        name: bytes,
        *,
        follow_symlinks: bool = True,
    ) -> None:
        if not self._privileged and not key.startswith(_HARMLESS):
            self._note("ATTRIBUTE_NOT_RESTORED", name, "attributes of the system need root")
            return
        try:
            os.setxattr(place, key, value, follow_symlinks=follow_symlinks)
        except OSError as error:
            if error.errno not in _NOT_KEPT:
                raise
            self._note(
                "ATTRIBUTE_NOT_RESTORED",
                name,
                f"the target does not keep an extended attribute: {error.strerror}",
            )

    @contextmanager
    def _tolerating_owner(self, name: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _OWNER_REFUSED:
                raise
            self._note("OWNER_NOT_RESTORED", name, "the system refused the recorded owner")


def _born(root: int) -> os.stat_result | None:
    """What a new file is like that asks for all permissions; None where that cannot be known.

    A file without a name tells, so that nothing of it is ever seen.
    """
    try:
        os.getxattr(root, _DEFAULT_ACL)
    except OSError as error:
        if error.errno not in {errno.ENODATA, errno.ENOTSUP}:
            return None
    else:
        return None  # an access list is handed down, which a mode does not tell
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _PERMISSIONS, dir_fd=root)
    except OSError:  # not every filesystem can
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)

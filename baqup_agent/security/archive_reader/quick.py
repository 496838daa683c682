"""A shorter way for the shape that nearly every member has: three blocks, or one.

That shape is a file, directory or link whose header stands alone, or behind a pax header that
brings nothing but the nanoseconds of its time. Whatever is not exactly this is left to the general
way, which knows all the rules; a member that passes here is the one that it would have made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from baqup_agent.security.archive_reader.block import ID_LIMIT, KINDS, PAX, BlockError, parse
from baqup_agent.security.archive_reader.names import checked
from baqup_agent.security.archive_reader.stream import BLOCK
from baqup_agent.security.member import MODE_MASK, Kind, Member

#: Bytes that have to be at hand: a pax header's block, its records, the member's block.
QUICK_BYTES = 3 * BLOCK

#: Bytes of a record with a time of our days.
_USUAL_RECORD = 30
_TIME = re.compile(rb"([0-9]{2}) mtime=([0-9]{1,11})\.([0-9]{9})\n")
_NS = 10**9
_NO_XATTRS: Mapping[bytes, bytes] = MappingProxyType({})
_UNUSUAL = (None, 0)


class QuickParser:
    """Parses members of the usual shape; remembers a pax header's block, which tends to recur."""

    def __init__(self) -> None:
        self._pax = b""
        self._pax_size = 0

    def member(self, data: bytes, at: int) -> tuple[Member | None, int]:
        """Return the member whose headers begin ``at`` a place, and how many bytes they take.

        The member is None if its shape is another one, or if anything is wrong with it.
        """
        mtime_ns, start = None, at
        try:
            raw = data[at : at + BLOCK]
            if raw == self._pax or raw[156:157] == PAX:
                mtime_ns = self._time(raw, data, at + BLOCK)
                if mtime_ns is None:
                    return _UNUSUAL
                at += 2 * BLOCK
            flag, name, link, mode, uid, gid, size, mtime_s, _ = parse(data, at)
        except BlockError:
            return _UNUSUAL
        kind = KINDS.get(flag)
        if (
            kind is None
            or (size if kind is not Kind.FILE else name.endswith(b"/"))
            or not 0 <= uid < ID_LIMIT
            or not 0 <= gid < ID_LIMIT
        ):
            return _UNUSUAL
        if kind is Kind.HARDLINK:
            link = checked(link)
        elif kind is not Kind.SYMLINK:
            link = b""
        if mtime_ns is None:
            mtime_ns = mtime_s * _NS
        name = checked(name)
        # Calling the class runs a function of Python, which takes three times as long.
        member = tuple.__new__(
            Member,
            (kind, name, mode & MODE_MASK, uid, gid, size, mtime_ns, link, _NO_XATTRS, None),
        )
        return member, at + BLOCK - start

    def _time(self, raw: bytes, data: bytes, at: int) -> int | None:
        """Return the time in a pax header's only record; None if it holds anything else.

        Args:
            raw: the pax header's block.
            data: holds its record.
            at: where.
        """
        if raw != self._pax:
            self._pax_size = parse(raw).size
            self._pax = raw
        if self._pax_size == _USUAL_RECORD:
            record = data[at : at + _USUAL_RECORD]
            digits = record[9:19] + record[20:29]
            # Of bytes, this asks for ASCII digits.
            if digits.isdigit() and record == b"30 mtime=%b.%b\n" % (record[9:19], record[20:29]):
                return int(digits)
        match = _TIME.match(data, at)
        if match is None:
            return None
        length, seconds, fraction = match.groups()
        if not int(length) == self._pax_size == match.end() - match.start():
            return None
        return int(seconds + fraction)

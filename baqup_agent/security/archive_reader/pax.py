"""Extended headers of pax: ``length key=value`` lines that overrule fields of a header block."""

from __future__ import annotations

import re
from collections.abc import Iterator

from baqup_agent.security.archive_reader.acl import WORDS, attribute
from baqup_agent.security.archive_reader.block import BlockError

_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_PAIR = (b"offset", b"numbytes")
_CHARSETS = frozenset({b"BINARY", b"ISO-IR 10646 2000 UTF-8"})

#: What is taken from a header; each may stand in it once.
_FIELDS = frozenset({b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"})

#: What a global header may say of the members behind it: what a default makes sense for.
_DEFAULTS = frozenset({b"uid", b"gid", b"mtime"})

#: Parts of files that another volume holds, or that star leaves out.
_UNKNOWN_CONTENTS = (b"GNU.", b"SCHILY.realsize", b"SCHILY.offset")

_MAX_LENGTH_DIGITS = 8
_NS_DIGITS = 9
_INTEGER = re.compile(rb"-?[0-9]{1,19}")
_TIME = re.compile(rb"(-?)([0-9]{1,17})(?:\.([0-9]*))?")


class Records:
    """What extended headers say of one member.

    Attributes:
        fields: values of the keys that overrule a header block's fields.
        xattrs: extended attributes by their names.
        sparse: GNU tar's records of a file with holes, without their prefix.
        pairs: the offsets and lengths of format 0.0, in their order.
        long: names from headers of old GNU tar, which these records overrule in turn.
        seen: types of the headers that were taken in.
    """

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.xattrs: dict[bytes, bytes] = {}
        self._lists: dict[bytes, bytes] = {}
        self.sparse: dict[bytes, bytes] = {}
        self.pairs: list[bytes] = []
        self.long: dict[bytes, bytes] = {}
        self.seen: set[bytes] = set()

    def add(self, body: bytes) -> None:
        """Take in an extended header.

        Raises:
            BlockError: it is malformed, or says something twice.
        """
        for key, value in _lines(body):
            if key in _FIELDS:
                self._once(self.fields, key, value)
            elif key.startswith(_XATTR):
                self._once(self.xattrs, _unescaped(key[len(_XATTR) :]), value)
            elif key in WORDS:
                self._once(self._lists, WORDS[key], value)
            elif key.startswith(_SPARSE):
                self._add_sparse(key[len(_SPARSE) :], value)
            elif key == b"hdrcharset" and value not in _CHARSETS:
                raise BlockError("names in an unknown character set")
            elif key.startswith(_UNKNOWN_CONTENTS):
                raise BlockError(f"a record {key[:40]!r} of a file that is not here as a whole")
        for name, words in self._lists.items():
            value = attribute(words)
            if value:
                self.xattrs.setdefault(name, value)  # which is exact, if it is there

    def add_defaults(self, body: bytes) -> None:
        """Take in a global header, which goes on to hold for the members that follow.

        Raises:
            BlockError: it is malformed, or says what can hold for a single member only.
        """
        found = Records()
        found.add(body)
        if found.xattrs or found.sparse or found.pairs or not found.fields.keys() <= _DEFAULTS:
            raise BlockError("a global header that names or sizes every member alike")
        self.fields |= found.fields

    def integer(self, key: bytes) -> int | None:
        """Return a field's number, None if it is absent.

        Raises:
            BlockError: it is no number.
        """
        text = self.fields.get(key)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            raise BlockError(f"a record {key.decode()} that is no whole number")
        return int(text)

    @property
    def mtime_ns(self) -> int | None:
        """The modification time in nanoseconds, None if it is absent."""
        text = self.fields.get(b"mtime")
        if text is None:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise BlockError("a modification time that is no number")
        sign, seconds, fraction = match.groups()
        value = int(seconds + (fraction or b"")[:_NS_DIGITS].ljust(_NS_DIGITS, b"0"))
        return -value if sign else value

    def _add_sparse(self, key: bytes, value: bytes) -> None:
        if key not in _PAIR:
            self._once(self.sparse, key, value)
            return
        if key != _PAIR[len(self.pairs) % 2]:
            raise BlockError("a sparse map whose offsets and lengths are out of step")
        self.pairs.append(value)

    @staticmethod
    def _once(found: dict[bytes, bytes], key: bytes, value: bytes) -> None:
        if key in found:
            raise BlockError(f"a record {key[:40]!r} that stands twice")
        found[key] = value


def _lines(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, end = 0, len(body)
    while position < end:
        space = body.find(b" ", position, position + _MAX_LENGTH_DIGITS + 1)
        digits = body[position:space]
        if space < 0 or not digits.isdigit():
            raise BlockError("an extended header without the length of a record")
        stop = position + int(digits)
        if not space < stop - 1 < end or body[stop - 1 : stop] != b"\n":
            raise BlockError("a record of an extended header with the wrong length")
        key, equals, value = body[space + 1 : stop - 1].partition(b"=")
        if not (key and equals):
            raise BlockError("a record of an extended header without a key")
        yield key, value
        position = stop


def _unescaped(name: bytes) -> bytes:
    """Return an attribute's name; GNU tar writes these two signs of it in another way."""
    return name.replace(b"%3D", b"=").replace(b"%25", b"%") if b"%" in name else name

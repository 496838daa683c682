"""Access lists as tar programs write them in words, turned into the attribute that Linux keeps.

Our own archives hold the attribute itself, beside the words for others; GNU tar with ``--acls``
and bsdtar write the words alone: ``user::rw-,user:1000:r--,group::r--,mask::r--,other::r--``.
"""

from __future__ import annotations

import grp
import pwd
from functools import lru_cache
from struct import Struct

from baqup_agent.security.archive_reader.block import BlockError

#: The keys of access lists in words, and the attributes that they stand for.
WORDS = {
    b"SCHILY.acl.access": b"system.posix_acl_access",
    b"SCHILY.acl.default": b"system.posix_acl_default",
}

_VERSION = Struct("<I").pack(2)
_ENTRY = Struct("<HHI")
_NO_ID = 2**32 - 1
_MAX_ENTRIES = 4096

#: Tags of the entries: without and with a name.
_TAGS = {b"user": (0x01, 0x02), b"group": (0x04, 0x08), b"mask": (0x10,), b"other": (0x20,)}
_RIGHTS = {ord("r"): 4, ord("w"): 2, ord("x"): 1, ord("-"): 0}


def attribute(words: bytes) -> bytes:
    """Return the value of the attribute for an access list in words; empty for an empty list.

    Raises:
        BlockError: it is malformed, or names somebody who is unknown here and has no number.
    """
    texts = [text.strip() for text in words.replace(b"\n", b",").split(b",")]
    entries = [_entry(text) for text in texts if text and not text.startswith(b"#")]
    if len(entries) > _MAX_ENTRIES:
        raise BlockError("an access list with too many entries")
    return bool(entries) * _VERSION + b"".join(
        _ENTRY.pack(tag, rights, number) for tag, number, rights in sorted(entries)
    )


def _entry(text: bytes) -> tuple[int, int, int]:
    """Return an entry's tag, the number of whom it is for, and the rights."""
    match text.split(b":"):
        case [who, name, rights] if who in _TAGS:
            number = _number(who, name)
        case [who, _, rights, digits] if who in _TAGS and digits.isdigit():
            name, number = digits, int(digits[:10])
        case _:
            raise BlockError("an access list of another form")
    if len(_TAGS[who]) == 1 and name:
        raise BlockError("an access list whose mask has a name")
    if not rights or not rights.isascii() or any(right not in _RIGHTS for right in rights):
        raise BlockError("an access list with unknown rights")
    if number > _NO_ID:
        raise BlockError("an access list with an impossible number")
    bits = 0
    for right in rights:
        bits |= _RIGHTS[right]
    return _TAGS[who][bool(name)], number, bits


def _number(who: bytes, name: bytes) -> int:
    if not name:
        return _NO_ID
    return int(name[:11]) if name.isdigit() else _known(who, name)


@lru_cache(maxsize=1024)
def _known(who: bytes, name: bytes) -> int:
    """Return the number of a user or group of this machine, as tar programs do."""
    try:
        text = name.decode()
        return pwd.getpwnam(text).pw_uid if who == b"user" else grp.getgrnam(text).gr_gid
    except (KeyError, ValueError) as error:
        raise BlockError(
            f"an access list that names the unknown {who.decode()} {name!r}"
        ) from error

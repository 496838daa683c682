"""Access lists in words, for tar programs that do not take the attribute that Linux keeps.

An archive holds the attribute itself, which is exact. bsdtar passes over it, and so does GNU tar
when it is asked for access lists as well; both take the words. Numbers stand for names.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

#: The attributes, and the keys of their words.
_WORDS = {
    b"system.posix_acl_access": b"SCHILY.acl.access",
    b"system.posix_acl_default": b"SCHILY.acl.default",
}

_VERSION = Struct("<I").pack(2)
_ENTRY = Struct("<HHI")
_TAGS = {
    0x01: b"user",
    0x02: b"user",
    0x04: b"group",
    0x08: b"group",
    0x10: b"mask",
    0x20: b"other",
}
_NAMED = frozenset({0x02, 0x08})


def in_words(xattrs: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the records that say in words what the access lists among attributes say."""
    found = {}
    for name, key in _WORDS.items():
        words = _words(xattrs.get(name, b""))
        if words:
            found[key] = words
    return found


def _words(value: bytes) -> bytes | None:
    """Return an access list in words; None for what is none of the kernel's making."""
    body = value.removeprefix(_VERSION)
    if body == value or not body or len(body) % _ENTRY.size:
        return None
    entries = list(_ENTRY.iter_unpack(body))
    if any(tag not in _TAGS or rights not in range(8) for tag, rights, _ in entries):
        return None
    return b",".join(
        b"%b:%b:%b" % (_TAGS[tag], b"%d" % number if tag in _NAMED else b"", _rights(rights))
        for tag, rights, number in entries
    )


def _rights(rights: int) -> bytes:
    return bytes(
        letter if rights & bit else ord("-") for letter, bit in zip(b"rwx", (4, 2, 1), strict=True)
    )

"""Reads an archive's members from a stream, and refuses whatever is not quite right.

Tar programs are lenient, each in its own way, and an attack lives on the difference: what one of
them lists is not what another writes. This parser takes exactly what tar programs write:

* ustar headers of POSIX (``ustar``) and of old GNU tar (``ustar`` and two spaces);
* pax extended headers (``x``), and global ones (``g``) that say nothing of a single member;
* GNU tar's long names (``L``, ``K``) and binary numbers;
* files with holes in GNU tar's forms: old (``S``), and pax 0.0, 0.1 and 1.0;
* files, directories, symbolic and hard links.

Everything else ends in an error that names the place or the member, and the rule. Every step
takes at least a block from the stream, and the headers of one member have a common limit, so that
there is nothing to loop on and no memory to fill.
"""

from __future__ import annotations

from baqup_agent.security.archive_reader.reader import HEADER_BYTES, ArchiveReader
from baqup_agent.security.archive_reader.stream import ByteSource

__all__ = ["HEADER_BYTES", "ArchiveReader", "ByteSource"]

"""What an extraction would write, found out without writing (Contract §7)."""

from __future__ import annotations

from collections.abc import Iterator

from baqup_agent.security.archive_reader import ArchiveReader, ByteSource
from baqup_agent.security.caps import Caps, Limits
from baqup_agent.security.choosing import Chooser, Wanted
from baqup_agent.security.member import Kind, Member
from baqup_agent.security.refusals import check_symlink, original_of


def survey(
    source: ByteSource, *, limits: Limits | None = None, wanted: Wanted | None = None
) -> Iterator[Member]:
    """Yield the members that would be written, the directories that lead to them included.

    All rules are applied that need no filesystem; what depends on how links combine, on names that
    occur twice or on room in the target is found out by writing alone.

    Args:
        source: the archive, uncompressed; it is read to its end.
        limits: how much it may hold.
        wanted: which names to yield; None for all.

    Raises:
        PathEscape: a member or a link leads out of the tree.
        DataError: the archive is damaged, or holds what is refused.
        LimitExceeded: it holds more than ``limits`` allow.
    """
    limits = limits or Limits()
    caps, chooser = Caps(limits), Chooser(wanted)
    for member in ArchiveReader(source, limits.header_bytes):
        caps.admit(member)
        for each in chooser.choose(member):
            if each.kind is Kind.SYMLINK:
                check_symlink(each)
            elif each.kind is Kind.HARDLINK:
                original_of(each)
            yield each

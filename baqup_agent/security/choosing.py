"""Some of an archive's members: those that are wanted, and the directories that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from baqup_agent.security.member import Kind, Member

#: Says whether a name from the tree's root is wanted; the flag marks a directory.
Wanted = Callable[[bytes, bool], bool]


class Chooser:
    """Picks members out of an archive as they come by.

    A directory that is not wanted itself is held back until something in it is. Only the way to
    the latest directory is remembered, which is enough for archives that finish with a directory
    before they leave it; all tar programs write such.

    Args:
        wanted: tells what to pick; None picks everything.
    """

    def __init__(self, wanted: Wanted | None) -> None:
        self._wanted = wanted
        self._held: list[Member] = []
        self.found = False

    def choose(self, member: Member) -> Sequence[Member]:
        """Return what is to be made now that ``member`` has come: it last, or nothing."""
        if self._wanted is None:
            return (member,)
        directory = member.kind is Kind.DIRECTORY
        # The root alone has no name that a pattern could tell.
        chosen = bool(member.name) and self._wanted(member.name, directory)
        while self._held and not _leads_to(self._held[-1], member):
            self._held.pop()
        if not chosen:
            if directory:
                self._held.append(member)
            return ()
        self.found = True
        made, self._held = [*self._held, member], []
        return made


def _leads_to(directory: Member, member: Member) -> bool:
    return not directory.name or member.name.startswith(directory.name + b"/")

"""What becomes of a symbolic link in the source (Contract §7).

===========  ====================================  ===============================  ==============
policy       leads to a place in the source        leads out of it                  leads nowhere
===========  ====================================  ===============================  ==============
``shallow``  kept, as a link                       left out, SYMLINK_EXTERNAL       kept, as a link
``follow``   what stands there, in its place       left out, SYMLINK_EXTERNAL       SYMLINK_SKIPPED
``skip``     left out, SYMLINK_SKIPPED             left out, SYMLINK_SKIPPED        SYMLINK_SKIPPED
``fail``     the job fails                         the job fails                    the job fails
===========  ====================================  ===============================  ==============

A link that is kept must lead to the same place after it was restored somewhere else, and must not
lead out of there: restoring refuses an archive with such a link. So a text that is absolute, that
leaves the source and comes back, or that climbs back over another link is replaced by the relative
path to where it leads, and SYMLINK_REWRITTEN tells of it. Every other text is kept to the byte.
"""

from __future__ import annotations

import os
from itertools import takewhile
from typing import NamedTuple

from baqup_agent.errors import DataError
from baqup_agent.security.beneath import Components, Resolution, Tree, climb, climbs_back, resolve
from baqup_agent.security.member import printable


class Verdict(NamedTuple):
    """What to do with one link.

    Attributes:
        text: archive a link that says this.
        place: archive what stands at this place.
        code: the event to tell, if any.
        message: its line.

    With neither ``text`` nor ``place`` the link is left out.
    """

    text: bytes | None = None
    place: Components | None = None
    code: str | None = None
    message: str = ""


class LinkPolicy:
    """Decides on the links of one source.

    Args:
        mode: ``shallow``, ``follow``, ``skip`` or ``fail``.
        root: the source's directory, for links that name it by its absolute path.
        tree: the same directory by descriptor.
    """

    def __init__(self, mode: str, root: bytes, tree: Tree) -> None:
        self._mode = mode
        self._root = os.path.realpath(root)
        self._tree = tree

    @property
    def follows(self) -> bool:
        """Whether a link may be replaced by what it leads to."""
        return self._mode == "follow"

    def directory(self, place: Components) -> int:
        """Return a descriptor of the directory that holds a place, valid until the next call."""
        return self._tree.enter(place[:-1])

    def stat(self, place: Components) -> os.stat_result:
        """Return the metadata of what stands at a place, a link's own if it is one.

        Raises:
            OSError: there is nothing, or it cannot be reached.
        """
        name = place[-1] if place else b"."
        return os.stat(name, dir_fd=self.directory(place), follow_symlinks=False)

    def decide(self, directory: Components, name: bytes, text: bytes) -> Verdict:
        """Return what becomes of a link.

        Args:
            directory: where it stands; real directories only.
            name: its own name.
            text: what it says.

        Raises:
            DataError: the policy is ``fail``.
        """
        if self._mode == "fail":
            raise DataError(
                f"{printable(b'/'.join((*directory, name)))!r} is a symbolic link, and "
                "BAQUP_SOURCE_FOLLOW_SYMLINKS is 'fail'; choose another policy, or exclude it"
            )
        if self._mode == "skip":
            return _skipped("left out, as the policy says")
        return self._by_place(directory, name, text)

    def _by_place(self, directory: Components, name: bytes, text: bytes) -> Verdict:
        found = self._resolve(directory, text)
        plain = (
            not text.startswith(b"/") and climb(text) <= len(directory) and not climbs_back(text)
        )
        if found.circular:
            keep = plain and not self.follows
            return Verdict(text=text) if keep else _skipped("leads in circles")
        place = found.place
        if place is None:
            place = self._resolve_outside(directory, text)
        if place is None:
            message = f"points out of the source to {printable(text)}"
            return Verdict(code="SYMLINK_EXTERNAL", message=message)
        if self.follows:
            itself = place == (*directory, name)
            return _skipped("leads to itself") if itself else Verdict(place=place)
        if plain or (found.place is not None and not found.links):
            return Verdict(text=text)
        return _rewritten(text, _relative(directory, place))

    def _resolve(self, directory: Components, text: bytes) -> Resolution:
        try:
            return resolve(self._tree, directory, text)
        except OSError:
            # A directory on the way may be closed to us; the system's answer has to do.
            return Resolution(None, 0)

    def _resolve_outside(self, directory: Components, text: bytes) -> Components | None:
        """Resolve a text on the whole system; None if it ends outside the source."""
        relative = not text.startswith(b"/")
        path = b"/".join((self._root, *directory, text)) if relative else text
        place = os.path.realpath(path)
        if place == self._root:
            return ()
        inside = self._root.rstrip(b"/") + b"/"
        if not place.startswith(inside):
            return None
        return tuple(place.removeprefix(inside).split(b"/"))


def _skipped(message: str) -> Verdict:
    return Verdict(code="SYMLINK_SKIPPED", message=message)


def _rewritten(text: bytes, relative: bytes) -> Verdict:
    return Verdict(
        text=relative,
        code="SYMLINK_REWRITTEN",
        message=f"said {printable(text)}, archived as {printable(relative)}",
    )


def _relative(directory: Components, place: Components) -> bytes:
    """Return the shortest relative path from a directory to a place."""
    pairs = zip(directory, place, strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    steps = (b"..",) * (len(directory) - common) + place[common:]
    return b"/".join(steps) or b"."

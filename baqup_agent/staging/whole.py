"""An artifact as its reader sees it: one file, or all parts of a split one (Contract §4)."""

from __future__ import annotations

import os

from attrs import frozen

from baqup_agent.errors import VerificationFailed
from baqup_agent.staging.artifact import Artifact, Encryption
from baqup_agent.staging.manifest import Manifest


@frozen
class Whole:
    """What is read as one.

    Attributes:
        name: the artifact's name; of a split one, what its parts give when they are joined.
        files: the manifest's entries, in the order of their bytes; at least one.
    """

    name: str
    files: tuple[Artifact, ...]

    @property
    def split(self) -> bool:
        """Whether it was cut into parts."""
        return self.files[0].part is not None

    @property
    def size_bytes(self) -> int:
        """Its size as stored."""
        return sum(file.size_bytes for file in self.files)

    @property
    def compression(self) -> str:
        """How it is compressed; a manifest whose parts differ in that does not hold."""
        return self.files[0].compression

    @property
    def encrypted(self) -> bool:
        """Whether it is encrypted, in whatever way."""
        return self.files[0].encrypted

    @property
    def encryption(self) -> Encryption | None:
        """How it is encrypted, None if it is not, or if the manifest does not say."""
        return self.files[0].encryption


def wholes(manifest: Manifest) -> tuple[Whole, ...]:
    """Return what a manifest lists, its parts put together, in its order."""
    found: dict[str, list[Artifact]] = {}
    for artifact in manifest.artifacts:
        found.setdefault(artifact.joined_name, []).append(artifact)
    return tuple(Whole(name, tuple(sorted(files, key=_number))) for name, files in found.items())


def whole_named(manifest: Manifest, name: str, directory: str | os.PathLike[str]) -> Whole:
    """Return the artifact of that name.

    Args:
        manifest: what lists it.
        name: its name; of a split one the joined name.
        directory: where the manifest lies, for messages.

    Raises:
        VerificationFailed: the manifest does not list it.
    """
    known = wholes(manifest)
    for whole in known:
        if whole.name == name:
            return whole
        if any(file.filename == name for file in whole.files):
            raise VerificationFailed(
                f"{name!r} is one part of {whole.name!r}; name that, its parts are read as one"
            )
    names = ", ".join(repr(whole.name) for whole in known)
    raise VerificationFailed(
        f"{name!r} is not listed in the manifest of {os.fspath(directory)!r}; it lists {names}"
    )


def _number(artifact: Artifact) -> int:
    return artifact.part.number if artifact.part else 0

"""One published file, and the rules for its name (Contract §4)."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from baqup_agent.contract import MANIFEST_NAME
from baqup_agent.errors import InternalError, VerificationFailed
from baqup_agent.staging.checksum import ALGORITHMS
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.members import Members

#: Bytes of the longest file name that filesystems take.
_NAME_BYTES = 255

_CONTROL = re.compile("[\x00-\x1f]")


@frozen
class Artifact:
    """A file that a job publishes.

    Attributes:
        filename: a plain name in the job's directory.
        size_bytes: its size as stored, that is compressed.
        checksum_algorithm: ``sha256``, ``sha512`` or ``blake3``.
        checksum_value: the checksum of the bytes as stored, in lower-case hexadecimal.
        compression: ``zstd``, ``gzip``, ``lz4`` or ``none``.
        encrypted: whether it must be decrypted before it is decompressed.
    """

    filename: str
    size_bytes: int
    checksum_algorithm: str
    checksum_value: str
    compression: str = "none"
    encrypted: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return the artifact as the manifest writes it."""
        return {
            "filename": self.filename,
            "size_bytes": self.size_bytes,
            "checksum": {"algorithm": self.checksum_algorithm, "value": self.checksum_value},
            "compression": self.compression,
            "encrypted": self.encrypted,
        }

    @classmethod
    def from_wire(cls, wire: object, where: str = "artifact") -> Artifact:
        """Read an artifact from a manifest; members that the contract does not know are skipped.

        Args:
            wire: what the JSON held.
            where: its place in the manifest, for messages.

        Raises:
            VerificationFailed: a member is missing or breaks its rule.
        """
        members = Members(wire, where, {"compression": "none", "encrypted": False})
        checksum = Members(members.value("checksum"), members.place("checksum"))
        checksum.only("algorithm", "value")
        algorithm = checksum.one_of("algorithm", ALGORITHMS)
        digits = ALGORITHMS[algorithm]
        return cls(
            filename=_filename(members),
            size_bytes=members.count("size_bytes"),
            checksum_algorithm=algorithm,
            checksum_value=checksum.match(
                "value", re.compile(f"[0-9a-f]{{{digits}}}"), f"{digits} lower-case hex digits"
            ),
            compression=members.one_of("compression", CODECS),
            encrypted=members.flag("encrypted"),
        )


def _filename(members: Members) -> str:
    name = members.text("filename")
    rule = broken_rule(name)
    if rule is not None:
        raise VerificationFailed(f"{members.place('filename')} is {name!r}; {rule}")
    return name


def broken_rule(name: str) -> str | None:
    """Return the rule that keeps ``name`` from being an artifact's, None if it keeps them all."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "a name must be valid UTF-8"
    rules = {
        "a name must not be empty": not name,
        "a name must not contain '/'": "/" in name,
        "a name must not contain control characters": _CONTROL.search(name),
        "a name must not begin with '.'": name.startswith("."),
        f"{MANIFEST_NAME!r} is the name of the manifest": name == MANIFEST_NAME,
        f"a name has at most {_NAME_BYTES} bytes": size > _NAME_BYTES,
    }
    return next((rule for rule, broken in rules.items() if broken), None)


def check_name(name: str) -> str:
    """Return the name that an author gives an artifact, once it is known to be a good one.

    Stricter than what is read: every character must be printable, because the name will stand in
    logs and on terminals.

    Raises:
        InternalError: it breaks a rule; code ``ARTIFACT_NAME_INVALID``.
    """
    rule = broken_rule(name)
    if rule is None and not name.isprintable():
        rule = "a name must be printable"
    if rule is None:
        return name
    raise InternalError(
        f"the artifact name {name!r} cannot be used: {rule}; "
        "choose a plain file name such as 'data.sql'",
        code="ARTIFACT_NAME_INVALID",
    )

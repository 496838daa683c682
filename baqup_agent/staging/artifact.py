"""One published file, and the rules for its name (Contract §4)."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from baqup_agent.contract import MANIFEST_NAME
from baqup_agent.errors import InternalError, VerificationFailed
from baqup_agent.staging.checksum import ALGORITHMS
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.members import Members, shown

#: Bytes of the longest file name that filesystems take.
_NAME_BYTES = 255

_CONTROL = re.compile("[\x00-\x1f]")

#: The ciphers of the contract, each with the published format that carries it.
CIPHERS = {"aes-256-gcm": "tink-aes256-gcm-hkdf-1mb", "chacha20-poly1305": "age-v1"}

#: The most parts that one artifact is split into: as many as five digits count.
MAX_PARTS = 99_999

_PART_SUFFIX = re.compile(r".+\.part[0-9]{5}", re.DOTALL)


@frozen
class Part:
    """Which piece of a split artifact a file is.

    Attributes:
        of: the name of the artifact that the parts give when they are joined.
        number: counted from 1.
        count: of how many.
    """

    of: str
    number: int
    count: int

    @property
    def filename(self) -> str:
        """The name of the file that holds it."""
        return part_name(self.of, self.number)

    def to_wire(self) -> dict[str, Any]:
        """Return the part as the manifest writes it."""
        return {"of": self.of, "number": self.number, "count": self.count}

    @classmethod
    def from_wire(cls, members: Members) -> Part:
        """Read a part from an artifact's member of that name.

        Raises:
            VerificationFailed: a member is missing or breaks its rule.
        """
        part = cls(_filename(members, "of"), members.count("number"), members.count("count"))
        within = 1 <= part.count <= MAX_PARTS
        members.require("count", f"from 1 to {MAX_PARTS}", holds=within)
        members.require("number", "from 1 to count", holds=1 <= part.number <= part.count)
        return part


@frozen
class Encryption:
    """How an artifact is encrypted.

    Attributes:
        algorithm: ``aes-256-gcm`` or ``chacha20-poly1305``.
        format: the published format that the stored bytes follow.
        key_id: which key it was, in the words of whoever keeps the keys.
    """

    algorithm: str
    format: str
    key_id: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the encryption as the manifest writes it."""
        wire = {"algorithm": self.algorithm, "format": self.format, "key_id": self.key_id}
        return {key: value for key, value in wire.items() if value is not None}

    @classmethod
    def from_wire(cls, members: Members) -> Encryption:
        """Read an encryption from an artifact's member of that name.

        Raises:
            VerificationFailed: a member is missing or breaks its rule.
        """
        return cls(
            algorithm=members.one_of("algorithm", CIPHERS),
            format=members.one_of("format", CIPHERS.values()),
            key_id=members.text("key_id") if "key_id" in members else None,
        )


def part_name(of: str, number: int) -> str:
    """Return the name of a part's file; in the order of their names the parts can be joined."""
    return f"{of}.part{number:05d}"


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
        part: which piece it is of an artifact that was split; None of one that was not.
        encryption: how it is encrypted; None if it is not, or if its agent does not tell.
    """

    filename: str
    size_bytes: int
    checksum_algorithm: str
    checksum_value: str
    compression: str = "none"
    encrypted: bool = False
    part: Part | None = None
    encryption: Encryption | None = None

    @property
    def joined_name(self) -> str:
        """The name of the whole: that of the file itself, unless it is a part."""
        return self.filename if self.part is None else self.part.of

    def to_wire(self) -> dict[str, Any]:
        """Return the artifact as the manifest writes it."""
        wire: dict[str, Any] = {
            "filename": self.filename,
            "size_bytes": self.size_bytes,
            "checksum": {"algorithm": self.checksum_algorithm, "value": self.checksum_value},
            "compression": self.compression,
            "encrypted": self.encrypted,
        }
        if self.part is not None:
            wire["part"] = self.part.to_wire()
        if self.encryption is not None:
            wire["encryption"] = self.encryption.to_wire()
        return wire

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
        encryption = _encryption(members)
        return cls(
            filename=_filename(members),
            size_bytes=members.count("size_bytes"),
            checksum_algorithm=algorithm,
            checksum_value=checksum.match(
                "value", re.compile(f"[0-9a-f]{{{digits}}}"), f"{digits} lower-case hex digits"
            ),
            compression=members.one_of("compression", CODECS),
            encrypted=members.flag("encrypted"),
            part=_part(members),
            encryption=encryption,
        )


def _filename(members: Members, key: str = "filename") -> str:
    name = members.text(key)
    rule = broken_rule(name)
    if rule is not None:
        raise VerificationFailed(f"{members.place(key)} is {shown(name)}; {rule}")
    return name


def _part(members: Members) -> Part | None:
    inner = members.inner("part")
    if inner is None:
        return None
    part = Part.from_wire(inner)
    named = members.value("filename") == part.filename
    members.require("filename", f"{shown(part.filename)}, as its part says", holds=named)
    return part


def _encryption(members: Members) -> Encryption | None:
    inner = members.inner("encryption")
    if inner is None:
        return None
    members.require("encrypted", "true where 'encryption' is", holds=members.flag("encrypted"))
    return Encryption.from_wire(inner)


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
    if rule is None and _PART_SUFFIX.fullmatch(name):
        rule = "names that end like '.part00001' are those of the parts of a split artifact"
    if rule is None:
        return name
    raise InternalError(
        f"the artifact name {name!r} cannot be used: {rule}; "
        "choose a plain file name such as 'data.sql'",
        code="ARTIFACT_NAME_INVALID",
    )

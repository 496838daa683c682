"""The manifest: the promise that a job's artifacts are there and intact (Contract §4)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from attrs import Factory, field, frozen

from baqup_agent.contract import CONTRACT_VERSION, MANIFEST_NAME, Role
from baqup_agent.errors import InternalError, IOFailure, LimitExceeded, VerificationFailed
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.durable import open_regular
from baqup_agent.staging.failures import failure, translated
from baqup_agent.staging.job_id import is_job_id
from baqup_agent.staging.members import Members, shown

#: Bytes of the longest manifest that is written and read: more than any agent has reason to write.
MAX_BYTES = 64 << 20

#: Largest size that a system has for a file. The contract sets no bound, but whoever reckons with
#: such a number, for times or shares, may find that it fits no float.
_MOST_BYTES = (1 << 63) - 1

#: Code points that no UTF-8 text can hold; file names that are not UTF-8 bring them in.
_SURROGATES = re.compile("[\ud800-\udfff]")

_REMEDY = "treat this backup as corrupt and discard it"


def _artifacts(value: Iterable[Artifact]) -> tuple[Artifact, ...]:
    return tuple(value)


@frozen
class Manifest:
    """What a job published.

    Attributes:
        job_id: the job's UUID, which also names the directory.
        agent: the agent's name.
        role: what the agent did.
        created_at: when the manifest was made, RFC 3339 in UTC.
        artifacts: what lies beside it; at least one.
        agent_version: the version of the agent's code.
        source_metadata: what the agent says of its source, free JSON.
        version: the version of the contract that the manifest follows.
    """

    job_id: str
    agent: str
    role: str = field(converter=str)
    created_at: str
    artifacts: tuple[Artifact, ...] = field(converter=_artifacts)
    agent_version: str | None = None
    source_metadata: Mapping[str, Any] = Factory(dict)
    version: str = CONTRACT_VERSION

    def to_wire(self) -> dict[str, Any]:
        """Return the manifest as JSON objects."""
        wire: dict[str, Any] = {
            "version": self.version,
            "job_id": self.job_id,
            "agent": self.agent,
            "agent_version": self.agent_version,
            "role": self.role,
            "created_at": self.created_at,
            "artifacts": [artifact.to_wire() for artifact in self.artifacts],
            "source_metadata": dict(self.source_metadata),
        }
        return {key: value for key, value in wire.items() if value is not None}

    def to_bytes(self) -> bytes:
        """Return the manifest as the text of its file, UTF-8 with a line break at the end.

        Raises:
            InternalError: a member breaks the contract, or the metadata is no JSON.
            LimitExceeded: it is longer than what is read.
        """
        try:
            self.from_wire(self.to_wire())
        except VerificationFailed as error:
            raise InternalError(
                f"this manifest must not be published: {error}; correct what the agent puts in it"
            ) from error
        content = encode(self.to_wire(), "the manifest", indent=2)
        if len(content) > MAX_BYTES:
            raise LimitExceeded(
                f"the manifest has {len(content)} bytes, and the most that is read is {MAX_BYTES}; "
                "write fewer artifacts, split them into larger parts, or tell less of the source"
            )
        return content

    @classmethod
    def from_wire(cls, wire: object) -> Manifest:
        """Read a manifest; members that the contract does not know are skipped.

        Raises:
            VerificationFailed: a member is missing or breaks its rule.
        """
        members = Members(wire, defaults={"source_metadata": {}})
        members.one_of("version", [CONTRACT_VERSION])
        job_id = members.text("job_id")
        members.require("job_id", "a UUID", holds=is_job_id(job_id))
        return cls(
            job_id=job_id,
            agent=members.text("agent"),
            role=members.one_of("role", Role),
            created_at=members.timestamp("created_at"),
            artifacts=_read_artifacts(members),
            agent_version=members.text("agent_version") if "agent_version" in members else None,
            source_metadata=members.object("source_metadata"),
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read the manifest in a file, or in a job's directory.

        Raises:
            VerificationFailed: there is none, or it breaks the contract.
            IOFailure: it cannot be read.
        """
        file = Path(path)
        with translated(IOFailure, "read", file):
            is_directory = file.is_dir()
        if is_directory:
            file /= MANIFEST_NAME
        try:
            manifest = cls.from_wire(_decode(_content(file)))
            _require_possible_sizes(manifest.artifacts)
        except VerificationFailed as error:
            raise VerificationFailed(f"{str(file)!r} does not hold: {error}; {_REMEDY}") from error
        return manifest


def _read_artifacts(members: Members) -> tuple[Artifact, ...]:
    wire = members.value("artifacts")
    members.require(
        "artifacts", "a list of at least one", holds=isinstance(wire, list) and bool(wire)
    )
    artifacts = tuple(
        Artifact.from_wire(item, f"artifacts[{index}]") for index, item in enumerate(wire)
    )
    seen: set[str] = set()
    for index, artifact in enumerate(artifacts):
        if artifact.filename in seen:
            raise VerificationFailed(
                f"artifacts[{index}].filename is {artifact.filename!r}; it must be listed only once"
            )
        seen.add(artifact.filename)
    _require_whole(artifacts)
    return artifacts


def _require_possible_sizes(artifacts: tuple[Artifact, ...]) -> None:
    for index, artifact in enumerate(artifacts):
        if artifact.size_bytes > _MOST_BYTES:
            size = shown(artifact.size_bytes)
            raise VerificationFailed(
                f"artifacts[{index}].size_bytes is {size}; no file is so large"
            )


def _require_whole(artifacts: tuple[Artifact, ...]) -> None:
    """Fail unless each split artifact has all of its parts, alike in how they are stored."""
    split: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        if artifact.part is not None:
            split.setdefault(artifact.part.of, []).append(artifact)
    whole = {artifact.filename for artifact in artifacts if artifact.part is None}
    for name, parts in split.items():
        if name in whole:
            raise VerificationFailed(f"{shown(name)} is listed both whole and in parts")
        # Names are not repeated, and a name tells the number: so as many as there should be are all
        if any(part.part and part.part.count != len(parts) for part in parts):
            raise VerificationFailed(
                f"{shown(name)} is split, and {len(parts)} of its parts are listed; "
                "each must be, and say how many there are"
            )
        if len({(part.compression, part.encrypted, part.encryption) for part in parts}) > 1:
            raise VerificationFailed(f"the parts of {shown(name)} must be stored in one way")


def _content(file: Path) -> bytes:
    try:
        fd = open_regular(file)
        with open(fd, "rb") as stream:  # noqa: PTH123  a descriptor, not a path
            # One byte more shows that it grew; a read of the most would reserve all of it.
            content = stream.read(min(os.fstat(fd).st_size, MAX_BYTES) + 1)
    except FileNotFoundError as error:
        raise VerificationFailed("there is no manifest, so the backup is incomplete") from error
    except OSError as error:
        raise failure(IOFailure, "read", file, error) from error
    if len(content) > MAX_BYTES:
        raise VerificationFailed(f"it has more than {MAX_BYTES} bytes, the most a manifest has")
    return content


def _decode(content: bytes) -> object:
    try:
        return json.loads(
            content.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise VerificationFailed(f"it is not valid JSON in UTF-8: {error}") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"the member {shown(key)} stands twice in one object")
        members[key] = value
    return members


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def encode(wire: Mapping[str, Any], what: str, *, indent: int | None = None) -> bytes:
    """Return an object as JSON in valid UTF-8, with a line break at the end.

    Paths become text. A file name that is not UTF-8 has its odd bytes replaced by U+FFFD: strict
    readers in other languages refuse the document otherwise.

    Raises:
        InternalError: a value has no form in JSON.
    """
    separators = (",", ": ") if indent else (",", ":")
    try:
        text = json.dumps(
            wire,
            ensure_ascii=False,
            allow_nan=False,
            indent=indent,
            separators=separators,
            default=os.fsdecode,
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InternalError(
            f"{what} cannot be written as JSON: {error}; "
            "use texts, finite numbers, booleans, lists and objects only"
        ) from error
    return (_SURROGATES.sub("\ufffd", text) + "\n").encode()

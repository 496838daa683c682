"""Reading a published artifact, after its checksum was verified (Contract §4)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from baqup_agent.errors import ConfigError, DataError, IOFailure, VerificationFailed
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.codec import Codec, codec_named
from baqup_agent.staging.durable import open_regular
from baqup_agent.staging.failures import failure
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.verification import broken_promise

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes that are decompressed at once.
_BUFFER_BYTES = 1 << 20


@contextmanager
def open_artifact(directory: str | os.PathLike[str], filename: str) -> Iterator[BinaryIO]:
    """Open an artifact for reading; the stream gives its decompressed bytes.

    The whole file is checked against the manifest before the first byte is handed out, and the
    very file that was checked is the one that is read. The stream is good within the ``with``
    block only.

    Args:
        directory: the published directory.
        filename: the artifact's name, as the manifest lists it.

    Raises:
        VerificationFailed: there is no manifest that holds, it does not list the artifact, or the
            file is not what it promises; in the block: its content cannot be decompressed.
        DataError: the artifact is encrypted.
        ConfigError: a package that its algorithms need is not installed.
        IOFailure: it cannot be read.
    """
    path = Path(directory) / filename
    artifact = _listed(directory, filename)
    codec = _codec(artifact)
    with _verified(path, artifact) as file:
        decoded = _Decoded(codec.opener(file), path, codec)
        with io.BufferedReader(decoded, _BUFFER_BYTES) as stream:
            yield cast("BinaryIO", stream)


def _listed(directory: str | os.PathLike[str], filename: str) -> Artifact:
    manifest = Manifest.read(directory)
    for artifact in manifest.artifacts:
        if artifact.filename == filename:
            return artifact
    known = ", ".join(repr(artifact.filename) for artifact in manifest.artifacts)
    raise VerificationFailed(
        f"{filename!r} is not listed in the manifest of {os.fspath(directory)!r}; it lists {known}"
    )


def _codec(artifact: Artifact) -> Codec:
    if artifact.encrypted:
        raise DataError(
            f"{artifact.filename!r} is encrypted; decrypt it with the tool of its format first"
        )
    codec = codec_named(artifact.compression)
    if not codec.available():
        raise ConfigError(
            f"{artifact.filename!r} is compressed with {codec.name}, which needs a package that is "
            f'not installed; run: pip install "baqup-agent[{codec.extra}]"'
        )
    return codec


@contextmanager
def _verified(path: Path, artifact: Artifact) -> Iterator[BinaryIO]:
    try:
        file = open(open_regular(path), "rb")  # noqa: PTH123, SIM115  a descriptor, closed below
    except FileNotFoundError as error:
        raise VerificationFailed(
            f"{str(path)!r} is missing; the backup is incomplete, discard it"
        ) from error
    except OSError as error:
        raise failure(IOFailure, "read", path, error) from error
    with file:
        try:
            problem = broken_promise(artifact, file.fileno())
            file.seek(0)
        except OSError as error:
            raise failure(IOFailure, "read", path, error) from error
        if problem is not None:
            raise VerificationFailed(f"{problem} ({str(path)!r})")
        yield file


class _Decoded(io.RawIOBase):
    """Decompressed bytes, whose errors are ours."""

    def __init__(self, source: BinaryIO, path: Path, codec: Codec) -> None:
        self._source = source
        self._path = path
        self._codec = codec

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read(len(view))
        except OSError as error:
            if error.errno is not None:
                raise failure(IOFailure, "read", self._path, error) from error
            raise self._undecodable(error) from error
        # Each library has errors of its own, and the checksum has shown that the file is intact.
        except Exception as error:
            raise self._undecodable(error) from error
        view[: len(data)] = data
        return len(data)

    def _undecodable(self, error: Exception) -> VerificationFailed:
        return VerificationFailed(
            f"{str(self._path)!r} cannot be decompressed as {self._codec.name}, as the manifest "
            f"says it must be: {error}; the agent that wrote it is at fault"
        )

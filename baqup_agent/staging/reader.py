"""Reading a published artifact: verified, joined, decrypted, decompressed (Contract §4)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, cast

from baqup_agent.errors import BaqupError, ConfigError, DataError, IOFailure, VerificationFailed
from baqup_agent.security.secret import Secret
from baqup_agent.staging.checking import Stamp, check_files
from baqup_agent.staging.codec import Codec, codec_named
from baqup_agent.staging.durable import open_directory
from baqup_agent.staging.encryption import associated_data, decrypted
from baqup_agent.staging.failures import failure, translated
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.stored import StoredBytes
from baqup_agent.staging.whole import Whole, whole_named

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes that are read, and that are decompressed, at once.
_BUFFER_BYTES = 1 << 20


@contextmanager
def open_artifact(
    directory: str | os.PathLike[str],
    filename: str,
    *,
    key: Secret | None = None,
    verify: Literal["first", "streamed"] = "first",
    on_chunk: Callable[[int], None] | None = None,
) -> Iterator[BinaryIO]:
    """Open an artifact for reading; the stream gives its decrypted, decompressed bytes.

    With ``verify="first"`` all stored bytes are checked against the manifest before the first one
    is handed out, and a file that changes afterwards is refused. With ``"streamed"`` they are
    hashed while they are handed out, which spares a second reading: then nothing is proven until
    the stream was read to its end, and reading raises before that end if the checksum does not
    hold. So whoever takes the bytes in must be able to give up what came of them.

    An encrypted artifact is sealed in segments, and each is handed out once it was found
    authentic. The stream is good within the ``with`` block only. Memory does not grow with sizes.

    Args:
        directory: the published directory.
        filename: the artifact's name, as the manifest lists it; of a split one the joined name.
        key: what decrypts it: the value of ``BAQUP_SECRET_ARTIFACT_KEY``.
        verify: when the checksum is verified.
        on_chunk: is told the bytes of each chunk that was hashed before the stream is handed
            out; what it raises ends the check.

    Raises:
        VerificationFailed: there is no manifest that holds, it does not list the artifact, or the
            files are not what it promises; in the block: its content cannot be decrypted or
            decompressed, or the checksum does not hold.
        DataError: the artifact is encrypted in a way that the manifest does not tell.
        ConfigError: the key is missing or another one, or a package that is needed is not
            installed.
        IOFailure: it cannot be read.
    """
    path = Path(directory)
    manifest = Manifest.read(path)
    whole = whole_named(manifest, filename, path)
    require_readable(whole, key)
    with ExitStack() as stack:
        with translated(IOFailure, "open", path):
            fd = open_directory(path, follow=True)
        stack.callback(os.close, fd)
        stamps = _verified(whole, path, fd, on_chunk) if verify == "first" else None
        yield stack.enter_context(content_of(whole, manifest.job_id, path, fd, key, stamps))


def require_readable(whole: Whole, key: Secret | None) -> None:
    """Make sure that an artifact can be decrypted and decompressed here.

    Raises:
        DataError: the manifest does not tell how it is encrypted.
        ConfigError: the key or a package is missing.
    """
    if whole.encrypted and whole.encryption is None:
        raise DataError(
            f"{whole.name!r} is encrypted, and the manifest does not tell how; "
            "decrypt it with the tool of its agent first"
        )
    if whole.encryption is not None and key is None:
        named = f" (key id {whole.encryption.key_id!r})" if whole.encryption.key_id else ""
        raise ConfigError(
            f"{whole.name!r} is encrypted with {whole.encryption.algorithm}{named}; "
            "set BAQUP_SECRET_ARTIFACT_KEY to its key"
        )
    codec = codec_named(whole.compression)
    if not codec.available():
        raise ConfigError(
            f"{whole.name!r} is compressed with {codec.name}, which needs a package that is "
            f'not installed; run: pip install "baqup-agent[{codec.extra}]"'
        )


@contextmanager
def content_of(
    whole: Whole,
    job_id: str,
    path: Path,
    directory: int,
    key: Secret | None = None,
    stamps: Mapping[str, Stamp] | None = None,
    on_stored: Callable[[int], None] | None = None,
) -> Iterator[BinaryIO]:
    """Open an artifact whose manifest was read; see `open_artifact`.

    Args:
        whole: the artifact; it must be one that `require_readable` lets pass.
        job_id: the job's id as the manifest spells it.
        path: the directory, for messages.
        directory: its descriptor.
        key: what decrypts it.
        stamps: those of the files, if they were found intact; else they are hashed as they are
            read.
        on_stored: is told the stored bytes of each piece that was read.
    """
    with StoredBytes(whole, path, directory, stamps, on_stored) as stored:
        decoded = _Decoded(stored, whole, path / whole.name)
        decoded.begin(job_id, key)
        with io.BufferedReader(decoded, _BUFFER_BYTES) as stream:
            yield cast("BinaryIO", stream)


def _verified(
    whole: Whole, path: Path, directory: int, on_chunk: Callable[[int], None] | None
) -> dict[str, Stamp]:
    stamps: dict[str, Stamp] = {}
    for check in check_files(whole.files, directory, on_chunk):
        name = check.artifact.filename
        if check.finding is not None:
            raise check.finding.damage.error(f"{check.finding.message} ({str(path / name)!r})")
        if check.stamp is not None:
            stamps[name] = check.stamp
    return stamps


class _Decoded(io.RawIOBase):
    """Decrypted and decompressed bytes, whose errors are ours.

    If the stored bytes are being hashed, an error in what they say is told only once their
    checksum was found to hold: damage on the way is another thing than a mistaken agent or key.

    Args:
        stored: the bytes as stored.
        whole: what they are.
        path: where, for messages; a split artifact's own path is that of its parts joined.
    """

    def __init__(self, stored: StoredBytes, whole: Whole, path: Path) -> None:
        self._stored = stored
        self._whole = whole
        self._path = path
        self._codec: Codec = codec_named(whole.compression)
        self._source: BinaryIO | None = None

    def begin(self, job_id: str, key: Secret | None) -> None:
        """Start decrypting; a wrong key shows before the stream is handed out."""
        source = cast("BinaryIO", io.BufferedReader(self._stored, _BUFFER_BYTES))
        if self._whole.encryption is not None and key is not None:
            bound = associated_data(job_id, self._whole.name)
            try:
                source = decrypted(source, self._whole.encryption, key, associated=bound)
                cast("io.BufferedReader", source).peek(1)
            except BaqupError as error:
                self._raise_judged(error)
        self._source = self._codec.opener(source)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer; return 0 at the end, once all checksums were found to hold."""
        view = memoryview(buffer).cast("B")
        data = self._read(len(view))
        view[: len(data)] = data
        if not data:
            self._stored.finish()
        return len(data)

    def _read(self, size: int) -> bytes:
        assert self._source is not None  # noqa: S101  `begin` came first
        try:
            return self._source.read(size)
        except BaqupError as error:
            self._raise_judged(error)
        except OSError as error:
            if error.errno is not None:
                raise failure(IOFailure, "read", self._path, error) from error
            raise self._undecodable(error) from error
        # Each library has errors of its own; the checksum decides whose fault it is.
        except Exception as error:
            raise self._undecodable(error) from error

    def _raise_judged(self, error: BaqupError) -> NoReturn:
        judged = self._judged(error)
        if judged is error:  # `from` itself, it would be its own cause without end
            raise error
        raise judged from error

    def _judged(self, error: BaqupError) -> BaqupError:
        if self._stored.failure is not None:
            return self._stored.failure
        self._stored.finish()
        return type(error)(f"{str(self._path)!r}: {error.message}")

    def _undecodable(self, error: Exception) -> VerificationFailed:
        self._stored.finish()
        return VerificationFailed(
            f"{str(self._path)!r} cannot be decompressed as {self._codec.name}, as the manifest "
            f"says it must be: {error}; the agent that wrote it is at fault"
        )

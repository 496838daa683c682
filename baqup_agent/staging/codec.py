"""Compression of artifacts: a table of codecs, and the choice among those at hand (Contract §4).

The packages behind the codecs are imported when a codec is first used. One of them, ``lz4``, is
optional; in its absence `choose` falls back, which the contract foresees with the event
``COMPRESSION_FALLBACK``. Every codec writes one frame that its ordinary command (``zstd``,
``gzip``, ``lz4``) reads, and reads any number of frames in a row.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from attrs import frozen

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Bytes that one zstd worker takes at once; smaller than the library's choice, to save memory. In
#: an agent that reads one large file, jobs of 2 MiB make a peak of 65 to 68 MiB, these 60 to 62,
#: for 0.9 % more output and no more processor time. Less overlap between jobs (``overlap_log`` 1,
#: 4) saved no processor time that could be measured, and added 1 to 3 % of output.
_ZSTD_JOB_BYTES = 3 << 19

#: Tells zlib to frame its output as a gzip file, whose time stamp it leaves at zero.
_GZIP_WINDOW = 31

_ZSTD_MODULE = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


class Encoder(Protocol):
    """A compressor in the middle of its work."""

    def compress(self, data: ReadableBuffer, /) -> ReadableBuffer:
        """Take bytes in and return those that are ready to be stored."""
        ...

    def flush(self) -> ReadableBuffer:
        """Finish the frame and return the rest."""
        ...


class EncoderFactory(Protocol):
    """Makes an encoder."""

    def __call__(self, level: int, *, workers: int = 0) -> Encoder:
        """Return one that compresses at ``level``, with that many threads of its own if it can."""
        ...


@frozen
class Codec:
    """One way to store an artifact.

    Attributes:
        name: its name in the manifest.
        suffix: what it appends to the name of an artifact.
        levels: the levels that it knows.
        default_level: the level where none was chosen for it.
        encoder: makes a compressor.
        opener: makes the stream of decompressed bytes of an open file.
        module: what must be importable; None if nothing.
        extra: the extra of this package that installs it; None if it always is.
    """

    name: str
    suffix: str
    levels: range
    default_level: int
    encoder: EncoderFactory
    opener: Callable[[BinaryIO], BinaryIO]
    module: str | None = None
    extra: str | None = None

    def available(self) -> bool:
        """Whether the package behind it is installed."""
        try:
            self.load()
        except ImportError:
            return False
        return True

    def load(self) -> Any:
        """Import the package behind it and return it, None if there is none."""
        return import_module(self.module) if self.module else None

    def level(self, settings: ArtifactSettings) -> int:
        """The configured level if it was meant for this codec, else the codec's own."""
        return (
            settings.compression_level if settings.compression == self.name else self.default_level
        )


def codec_named(name: str) -> Codec:
    """Return the codec of that name; KeyError if there is none."""
    return CODECS[name]


def choose(algorithm: str) -> tuple[Codec, bool]:
    """Return the codec to use, and whether it is another than the one asked for.

    Raises:
        KeyError: no codec has that name.
    """
    wanted = codec_named(algorithm)
    for codec in (wanted, CODECS["zstd"], CODECS["gzip"]):
        if codec.available():
            return codec, codec is not wanted
    return CODECS["none"], wanted.name != "none"


def check_level(settings: ArtifactSettings) -> None:
    """Fail early on a level that the configured algorithm does not know.

    Raises:
        ConfigError: naming the variable and the levels that are valid.
    """
    codec = CODECS.get(settings.compression)
    if codec is None:
        raise ConfigError(
            f"BAQUP_ARTIFACT_COMPRESS_ALGORITHM is {settings.compression!r}; "
            f"it must be one of {', '.join(CODECS)}"
        )
    if codec.levels and settings.compression_level not in codec.levels:
        raise ConfigError(
            f"BAQUP_ARTIFACT_COMPRESS_LEVEL is {settings.compression_level}; "
            f"{codec.name} takes {codec.levels[0]} to {codec.levels[-1]}"
        )


class _Plain:
    """Stores what it is given."""

    def compress(self, data: ReadableBuffer, /) -> ReadableBuffer:
        return data

    def flush(self) -> bytes:
        return b""


class _Lz4:
    """Gives lz4's compressor the header call that the others make by themselves."""

    def __init__(self, level: int) -> None:
        frame = import_module("lz4.frame")
        self._context = frame.LZ4FrameCompressor(
            compression_level=level, content_checksum=True, block_linked=True
        )
        self._header: bytes = self._context.begin()

    def compress(self, data: ReadableBuffer, /) -> bytes:
        return self._take_header() + cast("bytes", self._context.compress(data))

    def flush(self) -> bytes:
        return self._take_header() + cast("bytes", self._context.flush())

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header


def _zstd_encoder(level: int, *, workers: int = 0) -> Encoder:
    zstd = import_module(_ZSTD_MODULE)
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: level, parameter.checksum_flag: 1}
    if workers:
        most = parameter.nb_workers.bounds()[1]
        options |= {
            parameter.nb_workers: min(workers, most),
            parameter.job_size: _ZSTD_JOB_BYTES,
        }
    return cast("Encoder", zstd.ZstdCompressor(options=options))


def _gzip_encoder(level: int, *, workers: int = 0) -> Encoder:  # noqa: ARG001  it has no threads
    return zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)


def _lz4_encoder(level: int, *, workers: int = 0) -> Encoder:  # noqa: ARG001  it has no threads
    return _Lz4(level)


def _plain_encoder(level: int, *, workers: int = 0) -> Encoder:  # noqa: ARG001  it has no threads
    return _Plain()


def _zstd_opener(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", import_module(_ZSTD_MODULE).ZstdFile(file))


def _gzip_opener(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", import_module("gzip").GzipFile(fileobj=file, mode="rb"))


def _lz4_opener(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", import_module("lz4.frame").LZ4FrameFile(file))


#: Every codec of the contract. The levels are those of the libraries; zstd's and lz4's negative
#: ones are their fast modes, of which the contract's variable allows seven.
CODECS = {
    "zstd": Codec(
        name="zstd",
        suffix=".zst",
        levels=range(-7, 23),
        default_level=3,
        encoder=_zstd_encoder,
        opener=_zstd_opener,
        module=_ZSTD_MODULE,
    ),
    "gzip": Codec(
        name="gzip",
        suffix=".gz",
        levels=range(10),
        default_level=6,
        encoder=_gzip_encoder,
        opener=_gzip_opener,
    ),
    "lz4": Codec(
        name="lz4",
        suffix=".lz4",
        levels=range(-7, 13),
        default_level=0,
        encoder=_lz4_encoder,
        opener=_lz4_opener,
        module="lz4.frame",
        extra="lz4",
    ),
    "none": Codec(
        name="none",
        suffix="",
        levels=range(0),
        default_level=0,
        encoder=_plain_encoder,
        opener=lambda file: file,
    ),
}

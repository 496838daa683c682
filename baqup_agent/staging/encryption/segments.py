"""Streams of sealed segments, what Tink's streaming formats and age have in common.

Content is cut into segments of one size; each is sealed by an authenticated cipher whose nonce
counts the segments and marks the last. So a segment cannot be changed, moved, left out or added,
and a stream cannot be cut, not even between two segments. Reading hands out a segment's content
once that segment was found authentic: what came before a fault may have been handed out by then.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol

from attrs import frozen

from baqup_agent.errors import ConfigError, DataError, VerificationFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

#: Bytes that the ciphers add to a segment to authenticate it.
TAG_BYTES = 16


class Aead(Protocol):
    """An authenticated cipher of the package ``cryptography`` under one key."""

    def encrypt(
        self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None, /
    ) -> bytes:
        """Seal."""
        ...

    def decrypt(
        self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None, /
    ) -> bytes:
        """Open; raises ``InvalidTag``."""
        ...


@frozen
class Segments:
    """How one stream is cut and sealed.

    Attributes:
        cipher: the cipher under the key of this stream.
        nonce: makes the nonce of a segment: its number from 0, and whether it is the last.
        first_bytes: bytes of content in the first segment.
        size_bytes: bytes of content in each other one; the last may have fewer.
        most: segments that the nonce can count.
    """

    cipher: Aead
    nonce: Callable[[int, bool], bytes]
    first_bytes: int
    size_bytes: int
    most: int

    def content_bytes(self, number: int) -> int:
        """Return the bytes of content in a segment that is not the last."""
        return self.size_bytes if number else self.first_bytes


class SegmentEncryptor:
    """Seals a stream; an encoder like those of the codecs, so that they can be chained.

    Args:
        header: what precedes the segments.
        segments: how they are made.
    """

    def __init__(self, header: bytes, segments: Segments) -> None:
        self._header = header
        self._segments = segments
        self._number = 0
        self._gathered = bytearray(max(segments.first_bytes, segments.size_bytes))
        self._fill = 0

    def compress(self, data: ReadableBuffer, /) -> bytes:
        """Take bytes in and return the segments that they completed.

        Raises:
            DataError: there is more content than the format can count.
        """
        view = memoryview(data).cast("B")
        out: list[bytes] = []
        # A full segment waits until more comes, because the last one is sealed as such.
        while view:
            wanted = self._segments.content_bytes(self._number)
            if self._fill == wanted:
                out.append(self._seal(memoryview(self._gathered)[:wanted], last=False))
                self._fill = 0
            elif not self._fill and len(view) > wanted:
                out.append(self._seal(view[:wanted], last=False))
                view = view[wanted:]
            else:
                view = view[self._gather(view, wanted) :]
        return b"".join(out)

    def flush(self) -> bytes:
        """Seal the last segment and return it."""
        return self._seal(memoryview(self._gathered)[: self._fill], last=True)

    def _gather(self, view: memoryview, wanted: int) -> int:
        count = min(wanted - self._fill, len(view))
        self._gathered[self._fill : self._fill + count] = view[:count]
        self._fill += count
        return count

    def _seal(self, content: memoryview, *, last: bool) -> bytes:
        if self._number >= self._segments.most:
            raise DataError(
                f"the artifact has more than the {self._segments.most} segments that its "
                "encryption can count; write several artifacts"
            )
        nonce = self._segments.nonce(self._number, last)
        sealed = self._segments.cipher.encrypt(nonce, content, None)
        self._number += 1
        header, self._header = self._header, b""
        return header + sealed if header else sealed


class SegmentReader(io.RawIOBase):
    """The content of a sealed stream.

    Args:
        source: gives the sealed segments; it is not closed.
        segments: how they were made.

    Reading raises `ConfigError` if the first segment does not open, for then it may well be the
    key, and `VerificationFailed` at a later one.
    """

    def __init__(self, source: BinaryIO, segments: Segments) -> None:
        self._source = source
        self._segments = segments
        self._number = 0
        self._next = self._stored(0)
        self._content = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer with content; return 0 at the end, once it was found to be the end."""
        view = memoryview(buffer).cast("B")
        if not self._content and not self._ended:
            self._content = memoryview(self._open_next())
        count = min(len(view), len(self._content))
        view[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def _open_next(self) -> bytes:
        stored, number = self._next, self._number
        # Only a whole segment can be followed by another, so only then it is worth a look.
        whole = len(stored) == self._segments.content_bytes(number) + TAG_BYTES
        self._next = self._stored(number + 1) if whole else b""
        last = not self._next
        content = self._opened(stored, number, last=last)
        if content is None or (last and number and not content):
            raise self._fault(stored, number, last=last)
        self._number += 1
        self._ended = last
        return content

    def _opened(self, stored: bytes, number: int, *, last: bool) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        if len(stored) < TAG_BYTES or number >= self._segments.most:
            return None
        nonce = self._segments.nonce(number, last)
        try:
            return self._segments.cipher.decrypt(nonce, stored, None)
        except InvalidTag:
            return None

    def _fault(self, stored: bytes, number: int, *, last: bool) -> ConfigError | VerificationFailed:
        if last and self._opened(stored, number, last=False) is not None:
            return VerificationFailed(
                f"it is cut off: segment {number + 1} of its encryption is not the last one, and "
                "nothing follows; discard it"
            )
        if number:
            return VerificationFailed(
                f"segment {number + 1} of its encryption is damaged, cut or not in its place; "
                "discard it"
            )
        return ConfigError(
            "BAQUP_SECRET_ARTIFACT_KEY does not decrypt it: this is another key, or the bytes are "
            "damaged, or were written for another job or under another name; "
            "set the key that it was written with"
        )

    def _stored(self, number: int) -> bytes:
        return read_exactly(self._source, self._segments.content_bytes(number) + TAG_BYTES)


def read_exactly(source: BinaryIO, size: int) -> bytes:
    """Return ``size`` bytes, fewer only at the end."""
    data = source.read(size)
    while len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data

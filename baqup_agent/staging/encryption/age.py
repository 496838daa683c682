"""``chacha20-poly1305``: age version 1, which the commands ``age`` and ``rage`` decrypt.

Behind the header comes a nonce of 16 bytes, then segments of 64 KiB, sealed by
ChaCha20-Poly1305 with a key derived from the file's key and the nonce. The nonce of a segment is
its number in 11 bytes, then 1 in the last one and else 0.

age knows no associated data: a file is not bound to its job or its name. The checksum in the
manifest is what tells it from another one.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from baqup_agent.errors import VerificationFailed
from baqup_agent.staging.encryption.age_header import hkdf, new_header, read_header
from baqup_agent.staging.encryption.keys import AgeKey
from baqup_agent.staging.encryption.segments import (
    SegmentEncryptor,
    SegmentReader,
    Segments,
    read_exactly,
)

#: Bytes of content in a segment.
SEGMENT_BYTES = 1 << 16

_NONCE_BYTES = 16


def age_encryptor(key: AgeKey) -> SegmentEncryptor:
    """Return what encrypts one stream; a passphrase takes half a second and 128 MiB here."""
    header, file_key = new_header(key)
    nonce = os.urandom(_NONCE_BYTES)
    return SegmentEncryptor(header + nonce, _segments(file_key, nonce))


def age_reader(source: BinaryIO, key: AgeKey) -> SegmentReader:
    """Return the content of an encrypted stream.

    Raises:
        ConfigError: the key does not open it.
        VerificationFailed: it is no file of age v1, or it was changed.
    """
    file_key = read_header(source, key)
    nonce = read_exactly(source, _NONCE_BYTES)
    if len(nonce) < _NONCE_BYTES:
        raise VerificationFailed("it is cut off behind its header; discard it")
    return SegmentReader(source, _segments(file_key, nonce))


def _segments(file_key: bytes, nonce: bytes) -> Segments:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    def numbered(number: int, last: bool) -> bytes:  # noqa: FBT001  a column of `Segments`
        return number.to_bytes(11, "big") + bytes([last])

    cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
    return Segments(cipher, numbered, SEGMENT_BYTES, SEGMENT_BYTES, most=1 << 88)

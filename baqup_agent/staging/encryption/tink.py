"""``aes-256-gcm``: Tink's streaming AES-GCM-HKDF, template AES256_GCM_HKDF_1MB.

The format, as Tink publishes it (its page "AES-GCM-HKDF Streaming AEAD"):

    header   length of the header (1 byte, 40), salt (32 bytes), nonce prefix (7 bytes)
    segment  AES-256-GCM of the content, with its tag of 16 bytes behind it
    nonce    nonce prefix, number of the segment (4 bytes, big endian), 1 in the last and else 0
    key      HKDF-SHA256 of the input key, with the salt, and the associated data as its info

A segment takes 1 MiB as stored, the first one together with the header. Any Tink with a key of
that template and output prefix RAW reads it.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from baqup_agent.errors import VerificationFailed
from baqup_agent.staging.encryption.segments import (
    TAG_BYTES,
    SegmentEncryptor,
    SegmentReader,
    Segments,
    read_exactly,
)

#: Bytes of the key, the salt and each derived key.
KEY_BYTES = 32

_PREFIX_BYTES = 7
_HEADER_BYTES = 1 + KEY_BYTES + _PREFIX_BYTES

#: Bytes of a segment as stored.
SEGMENT_BYTES = 1 << 20


def tink_encryptor(key: bytes, associated: bytes) -> SegmentEncryptor:
    """Return what encrypts one stream.

    Args:
        key: the input key, 32 bytes.
        associated: what the stream is bound to.
    """
    salt, prefix = os.urandom(KEY_BYTES), os.urandom(_PREFIX_BYTES)
    header = bytes([_HEADER_BYTES]) + salt + prefix
    return SegmentEncryptor(header, _segments(key, salt, prefix, associated))


def tink_reader(source: BinaryIO, key: bytes, associated: bytes) -> SegmentReader:
    """Return the content of an encrypted stream.

    Raises:
        VerificationFailed: it does not begin like one.
    """
    header = read_exactly(source, _HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[0] != _HEADER_BYTES:
        raise VerificationFailed(
            "it does not begin with the header of Tink's AES256-GCM-HKDF format; discard it"
        )
    salt, prefix = header[1:-_PREFIX_BYTES], header[-_PREFIX_BYTES:]
    return SegmentReader(source, _segments(key, salt, prefix, associated))


def _segments(key: bytes, salt: bytes, prefix: bytes, associated: bytes) -> Segments:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    def nonce(number: int, last: bool) -> bytes:  # noqa: FBT001  a column of `Segments`
        return prefix + number.to_bytes(4, "big") + bytes([last])

    derived = HKDF(SHA256(), KEY_BYTES, salt=salt, info=associated).derive(key)
    return Segments(
        AESGCM(derived),
        nonce,
        first_bytes=SEGMENT_BYTES - _HEADER_BYTES - TAG_BYTES,
        size_bytes=SEGMENT_BYTES - TAG_BYTES,
        most=1 << 32,
    )

"""Encryption of artifacts in published formats, so that a restore needs none of our code.

| algorithm           | format                     | suffix  | made by                  |
|---------------------|----------------------------|---------|--------------------------|
| `aes-256-gcm`       | `tink-aes256-gcm-hkdf-1mb` | `.tink` | Tink, streaming AEAD     |
| `chacha20-poly1305` | `age-v1`                   | `.age`  | age (`age -d` opens it)  |

Encryption comes after compression; the manifest's checksum is that of the bytes as stored. Both
formats are sealed segment by segment: reading hands out a segment once it was found authentic, so
what lies before a fault may have been handed out when the fault is found.

The package ``cryptography`` (extra ``encryption``) is imported when it is first needed.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from baqup_agent.errors import ConfigError, DataError
from baqup_agent.security.secret import Secret

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from baqup_agent.staging.artifact import Encryption

__all__ = ["FORMATS", "Encryptor", "associated_data", "check_key", "decrypted", "encryptor"]

#: Each algorithm: the name of its format in the manifest, and the suffix of a file's name.
FORMATS = {
    "aes-256-gcm": ("tink-aes256-gcm-hkdf-1mb", ".tink"),
    "chacha20-poly1305": ("age-v1", ".age"),
}

_EXTRA = "encryption"


class Encryptor(Protocol):
    """A cipher in the middle of its work; the same protocol as a codec's encoder."""

    def compress(self, data: ReadableBuffer, /) -> ReadableBuffer:
        """Take bytes in and return those that are ready to be stored."""
        ...

    def flush(self) -> ReadableBuffer:
        """Seal the end and return the rest."""
        ...


def associated_data(job_id: str, filename: str) -> bytes:
    """Return what an artifact is bound to, where the format can bind (``aes-256-gcm``).

    ``baqup/1/JOB_ID/FILENAME`` in UTF-8. Neither of the two can hold a ``/``.

    Args:
        job_id: the job's id as the manifest spells it.
        filename: the artifact's name with all its suffixes; of a split one, the joined name.
    """
    return f"baqup/1/{job_id}/{filename}".encode()


def check_key(algorithm: str, key: Secret) -> None:
    """Fail early on a key that cannot be used, or if the package for it is not installed.

    Raises:
        ConfigError: naming the variable, the rule and the remedy, never the key.
    """
    _require_algorithm(algorithm)
    _require_package()
    from baqup_agent.staging.encryption.keys import aes_key, age_key

    if algorithm == "aes-256-gcm":
        aes_key(key)
    else:
        age_key(key)


def encryptor(algorithm: str, key: Secret, *, associated: bytes) -> Encryptor:
    """Return what encrypts one artifact.

    Args:
        algorithm: ``aes-256-gcm`` or ``chacha20-poly1305``.
        key: see `check_key`.
        associated: see `associated_data`; age cannot bind to it and leaves it out.

    Raises:
        ConfigError: the key cannot be used, or a package is not installed.
    """
    check_key(algorithm, key)
    from baqup_agent.staging.encryption.age import age_encryptor
    from baqup_agent.staging.encryption.keys import aes_key, age_key
    from baqup_agent.staging.encryption.tink import tink_encryptor

    if algorithm == "aes-256-gcm":
        return tink_encryptor(aes_key(key), associated)
    return age_encryptor(age_key(key))


def decrypted(
    source: BinaryIO, encryption: Encryption, key: Secret, *, associated: bytes
) -> BinaryIO:
    """Return the decrypted content of an artifact as a stream.

    Args:
        source: the bytes as stored; it is not closed.
        encryption: what the manifest says of them.
        key: the key they were written with.
        associated: see `associated_data`.

    Raises:
        ConfigError: the key cannot be used, or does not open it; a package is not installed.
        DataError: the manifest names a format that is unknown here.
        VerificationFailed: the bytes do not begin as they should. Reading the stream raises the
            same, and `ConfigError` if not even the first segment opens.
    """
    if encryption.format != FORMATS.get(encryption.algorithm, ("", ""))[0]:
        raise DataError(
            f"it is encrypted with {encryption.algorithm!r} in the format {encryption.format!r}, "
            "which this version cannot read; use the tool of that format"
        )
    check_key(encryption.algorithm, key)
    from baqup_agent.staging.encryption.age import age_reader
    from baqup_agent.staging.encryption.keys import aes_key, age_key
    from baqup_agent.staging.encryption.segments import SegmentReader
    from baqup_agent.staging.encryption.tink import tink_reader

    reader: SegmentReader
    if encryption.algorithm == "aes-256-gcm":
        reader = tink_reader(source, aes_key(key), associated)
    else:
        reader = age_reader(source, age_key(key))
    return cast("BinaryIO", io.BufferedReader(reader))


def _require_algorithm(algorithm: str) -> None:
    if algorithm not in FORMATS:
        raise ConfigError(
            f"BAQUP_ARTIFACT_ENCRYPT_ALGORITHM is {algorithm!r}; "
            f"it must be one of {', '.join(FORMATS)}"
        )


def _require_package() -> None:
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401  to learn whether it is there
    except ImportError as error:
        raise ConfigError(
            "encryption needs a package that is not installed; "
            f'run: pip install "baqup-agent[{_EXTRA}]"'
        ) from error

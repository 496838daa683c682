"""From the settings of encryption to what encrypts one artifact (Contract §4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import frozen

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import ConfigError
from baqup_agent.security.secret import Secret
from baqup_agent.staging.artifact import CIPHERS, Encryption
from baqup_agent.staging.codec import Encoder


@frozen
class Cipher:
    """How an artifact is encrypted, and by what.

    Attributes:
        encryption: what the manifest tells of it.
        encryptor: makes the encryptor, once.
    """

    encryption: Encryption
    encryptor: Callable[[], Encoder]


def check_encryption(settings: ArtifactSettings) -> None:
    """Fail early on a key that is missing or does not fit the cipher.

    Raises:
        ConfigError: naming the variable and the rule, never the key.
    """
    from baqup_agent.staging.encryption import check_key  # only encrypted jobs need its packages

    check_key(_cipher(settings.encryption), _key(settings))


def cipher_suffix(algorithm: str) -> str:
    """Return what a cipher appends to the names of artifacts."""
    from baqup_agent.staging.encryption import FORMATS

    return FORMATS[algorithm][1]


def cipher_for(settings: ArtifactSettings, job_id: str, filename: str) -> Cipher:
    """Return what encrypts one artifact.

    Args:
        settings: algorithm, key and the key's name.
        job_id: the job's UUID; it is bound into what is encrypted.
        filename: the artifact's full name; likewise.
    """
    from baqup_agent.staging.encryption import associated_data, encryptor

    algorithm = settings.encryption
    made = partial(
        encryptor, algorithm, _key(settings), associated=associated_data(job_id, filename)
    )
    return Cipher(Encryption(algorithm, CIPHERS[algorithm], settings.key_id), made)


def _cipher(algorithm: str) -> str:
    if algorithm not in CIPHERS:
        raise ConfigError(
            f"BAQUP_ARTIFACT_ENCRYPT_ALGORITHM is {algorithm!r}; "
            f"it must be one of {', '.join(CIPHERS)}"
        )
    return algorithm


def _key(settings: ArtifactSettings) -> Secret:
    if settings.key is None:
        raise ConfigError(
            "BAQUP_SECRET_ARTIFACT_KEY is not set; BAQUP_ARTIFACT_ENCRYPT=true needs a key, "
            "set it or leave artifacts in the clear"
        )
    return settings.key

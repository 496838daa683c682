"""The key of encrypted artifacts, as ``BAQUP_SECRET_ARTIFACT_KEY`` brings it.

No message here holds any of the key.
"""

from __future__ import annotations

import base64
import binascii
from enum import Enum

from attrs import field, frozen

from baqup_agent.errors import ConfigError
from baqup_agent.security.secret import Secret
from baqup_agent.staging.encryption import bech32

#: The variable that the key comes by.
KEY_VARIABLE = "BAQUP_SECRET_ARTIFACT_KEY"

#: Characters of the shortest passphrase that is taken.
PASSPHRASE_CHARACTERS = 12

_KEY_BYTES = 32

_RECIPIENT = "age1"
_IDENTITY = "age-secret-key-"


class AgeKind(Enum):
    """What a key for age is; the value is how a message names it."""

    RECIPIENT = "a recipient"
    IDENTITY = "an identity"
    PASSPHRASE = "a passphrase"  # noqa: S105  a word, not one


@frozen
class AgeKey:
    """A key for age.

    Attributes:
        kind: what it is.
        value: an X25519 public key, an X25519 private key, or the passphrase in UTF-8.
    """

    kind: AgeKind
    value: bytes = field(repr=False)


def aes_key(key: Secret) -> bytes:
    """Return the 32 bytes of a key for ``aes-256-gcm``.

    Raises:
        ConfigError: it is none.
    """
    text = _text(key).strip().replace("-", "+").replace("_", "/")
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) == _KEY_BYTES:
        return value
    raise ConfigError(
        f"{KEY_VARIABLE} is no key for aes-256-gcm: it must be 32 bytes in base64; "
        "make one with: openssl rand -base64 32"
    )


def age_key(key: Secret) -> AgeKey:
    """Return a key for ``chacha20-poly1305``, which is age.

    Raises:
        ConfigError: it is none.
    """
    text = _text(key).rstrip("\r\n")
    word = text.strip().lower()
    if word.startswith(_RECIPIENT):
        return AgeKey(AgeKind.RECIPIENT, _curve_point(text.strip(), "age", "a recipient"))
    if word.startswith(_IDENTITY):
        return AgeKey(AgeKind.IDENTITY, _curve_point(text.strip(), _IDENTITY, "an identity"))
    if len(text) < PASSPHRASE_CHARACTERS:
        raise ConfigError(
            f"{KEY_VARIABLE} is too short for a passphrase of age: it must have at least "
            f"{PASSPHRASE_CHARACTERS} characters; better, make a key with: age-keygen"
        )
    return AgeKey(AgeKind.PASSPHRASE, text.encode())


def _curve_point(text: str, prefix: str, what: str) -> bytes:
    try:
        found, value = bech32.decode(text)
    except ValueError as error:
        raise _not_x25519(what, str(error)) from None
    if found != prefix or len(value) != _KEY_BYTES:
        raise _not_x25519(what, "it is of another kind")
    return value


def _not_x25519(what: str, why: str) -> ConfigError:
    return ConfigError(
        f"{KEY_VARIABLE} looks like {what} of age and is none: {why}; it must be one of X25519, "
        "as age-keygen makes them, and whole"
    )


def _text(key: Secret) -> str:
    text = key.reveal()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{KEY_VARIABLE} is no text: it must be valid UTF-8") from None
    return text

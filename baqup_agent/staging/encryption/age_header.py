"""The header of an age file: who can open it, and the file's key wrapped for them.

    age-encryption.org/v1
    -> X25519 SHARE            or: -> scrypt SALT LOG_N
    the wrapped key of the file
    --- MAC of all that stands above

The format is the published one of age v1 (C2SP, "The age file encryption format"). The package
``pyrage`` would do it too, but gives passphrases only a form that holds the whole content in
memory, and takes half a gigabyte and two seconds to derive a key; it is the oracle of our tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from typing import BinaryIO

from attrs import frozen

from baqup_agent.errors import ConfigError, VerificationFailed
from baqup_agent.staging.encryption.keys import KEY_VARIABLE, AgeKey, AgeKind

_VERSION = b"age-encryption.org/v1"
_X25519_INFO = _VERSION + b"/X25519"
_SCRYPT_LABEL = _VERSION + b"/scrypt"

#: Bytes of a file's own key.
_FILE_KEY_BYTES = 16

_SALT_BYTES = 16
_SHARE_BYTES = 32
_WRAPPED_BYTES = 32

#: The cost of a passphrase: 2 to this power, times 1 KiB of memory, that is 128 MiB.
_LOG_N = 17

#: The highest cost that is paid for a file that somebody else made: 1 GiB of memory.
_MOST_LOG_N = 20

#: Bytes of the longest header that is read; one stanza takes about a hundred.
_HEADER_BYTES = 1 << 16

_COLUMNS = 64


@frozen
class Stanza:
    """One way to open the file.

    Attributes:
        kind: ``X25519``, ``scrypt`` or another.
        arguments: what the kind needs.
        body: the file's key, wrapped.
    """

    kind: str
    arguments: tuple[str, ...]
    body: bytes

    def lines(self) -> list[bytes]:
        """Return the stanza as it is written."""
        words = " ".join(("->", self.kind, *self.arguments))
        body = encoded(self.body)
        wrapped = [body[at : at + _COLUMNS] for at in range(0, len(body) + 1, _COLUMNS)]
        return [line.encode("ascii") for line in (words, *wrapped)]


def new_header(key: AgeKey) -> tuple[bytes, bytes]:
    """Return a header, and the new file's key that it wraps."""
    file_key = os.urandom(_FILE_KEY_BYTES)
    if key.kind is AgeKind.PASSPHRASE:
        stanza = _scrypt_stanza(key.value, file_key)
    else:
        stanza = _x25519_stanza(_public(key), file_key)
    above = b"\n".join([_VERSION, *stanza.lines(), b"---"])
    mac = encoded(_mac(file_key, above)).encode("ascii")
    return above + b" " + mac + b"\n", file_key


def read_header(source: BinaryIO, key: AgeKey) -> bytes:
    """Read a header to its end and return the file's key.

    Raises:
        ConfigError: the key does not open the file.
        VerificationFailed: it is no header of age v1, or it was changed.
    """
    above, stanzas, mac = _parsed(source)
    file_key = _unwrapped(stanzas, key)
    if not hmac.compare_digest(mac, _mac(file_key, above)):
        raise _malformed("its header was changed")
    return file_key


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive 32 bytes by HKDF-SHA256."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=salt, info=info).derive(secret)


def encoded(data: bytes) -> str:
    """Return base64 without padding."""
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _decoded(text: str) -> bytes:
    """Read base64 without padding; there is one way only to write a text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("its header is not as age writes it") from None
    if encoded(data) != text:
        raise _malformed("its header is not as age writes it")
    return data


def _mac(file_key: bytes, above: bytes) -> bytes:
    return hmac.digest(hkdf(file_key, b"", b"header"), above, "sha256")


def _x25519_stanza(public: bytes, file_key: bytes) -> Stanza:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes_raw()
    wrap = _x25519_wrap(ephemeral.private_bytes_raw(), public, share, public)
    return Stanza("X25519", (encoded(share),), _sealed(wrap, file_key))


def _x25519_wrap(private: bytes, peer: bytes, share: bytes, public: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    ours, theirs = (
        X25519PrivateKey.from_private_bytes(private),
        X25519PublicKey.from_public_bytes(peer),
    )
    try:
        shared = ours.exchange(theirs)
    except ValueError:
        # A point of low order: the key would not be secret.
        raise _malformed("its header has a share that no honest program makes") from None
    return hkdf(shared, share + public, _X25519_INFO)


def _public(key: AgeKey) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    if key.kind is AgeKind.RECIPIENT:
        return key.value
    return X25519PrivateKey.from_private_bytes(key.value).public_key().public_bytes_raw()


def _scrypt_stanza(passphrase: bytes, file_key: bytes) -> Stanza:
    salt = os.urandom(_SALT_BYTES)
    wrap = _scrypt_wrap(passphrase, salt, _LOG_N)
    return Stanza("scrypt", (encoded(salt), str(_LOG_N)), _sealed(wrap, file_key))


def _scrypt_wrap(passphrase: bytes, salt: bytes, log_n: int) -> bytes:
    memory = (128 * 8 << log_n) + (1 << 20)
    return hashlib.scrypt(
        passphrase, salt=_SCRYPT_LABEL + salt, n=1 << log_n, r=8, p=1, maxmem=memory, dklen=32
    )


def _sealed(wrap: bytes, file_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)  # a key for this alone


def _opened(wrap: bytes, body: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    if len(body) != _WRAPPED_BYTES:
        raise _malformed("its header has a key of a wrong length")
    try:
        return ChaCha20Poly1305(wrap).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None


def _unwrapped(stanzas: list[Stanza], key: AgeKey) -> bytes:
    by_passphrase = any(stanza.kind == "scrypt" for stanza in stanzas)
    if by_passphrase and len(stanzas) > 1:
        raise _malformed("its header has a passphrase beside other ways to open it")
    if key.kind is AgeKind.RECIPIENT:
        raise ConfigError(
            f"{KEY_VARIABLE} is a recipient of age, with which one can encrypt only; "
            "set the identity that belongs to it, which begins with AGE-SECRET-KEY-1"
        )
    if by_passphrase != (key.kind is AgeKind.PASSPHRASE):
        wanted = AgeKind.PASSPHRASE if by_passphrase else AgeKind.IDENTITY
        raise ConfigError(
            f"{KEY_VARIABLE} is {key.kind.value} of age, and it was encrypted for "
            f"{wanted.value}; set that"
        )
    file_key = _by_scrypt(stanzas[0], key) if by_passphrase else _by_x25519(stanzas, key)
    if file_key is None:
        raise ConfigError(
            f"{KEY_VARIABLE} does not decrypt it: this is another key, or the header is damaged; "
            "set the key that it was encrypted for"
        )
    return file_key


def _by_scrypt(stanza: Stanza, key: AgeKey) -> bytes | None:
    if len(stanza.arguments) != 2 or not re.fullmatch("[1-9][0-9]?", stanza.arguments[1]):  # noqa: PLR2004
        raise _malformed("its header is not as age writes it")
    salt, log_n = _decoded(stanza.arguments[0]), int(stanza.arguments[1])
    if len(salt) != _SALT_BYTES:
        raise _malformed("its header has a salt of a wrong length")
    if log_n > _MOST_LOG_N:
        raise _malformed(
            f"its passphrase costs 2^{log_n}, and 2^{_MOST_LOG_N} is the most that is paid"
        )
    return _opened(_scrypt_wrap(key.value, salt, log_n), stanza.body)


def _by_x25519(stanzas: list[Stanza], key: AgeKey) -> bytes | None:
    public = _public(key)
    for stanza in stanzas:
        if stanza.kind != "X25519":
            continue
        share = _decoded(stanza.arguments[0]) if len(stanza.arguments) == 1 else b""
        if len(share) != _SHARE_BYTES:
            raise _malformed("its header has a share of a wrong length")
        file_key = _opened(_x25519_wrap(key.value, share, share, public), stanza.body)
        if file_key is not None:
            return file_key
    return None


class _Lines:
    """The lines of a header, of which there are not endlessly many."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.read = b""

    def next(self) -> str:
        """Return a line without its end."""
        line = self._source.readline(_HEADER_BYTES - len(self.read))
        self.read += line
        if not line.endswith(b"\n") or not line.isascii():
            raise _malformed("its header is cut off, or not as age writes it")
        return line[:-1].decode("ascii")


def _parsed(source: BinaryIO) -> tuple[bytes, list[Stanza], bytes]:
    """Return what the MAC covers, the stanzas, and the MAC."""
    lines = _Lines(source)
    first = source.readline(len(_VERSION) + 1)
    lines.read = first
    if first != _VERSION + b"\n":
        raise _malformed("it does not begin with the header of age v1")
    stanzas: list[Stanza] = []
    while (line := lines.next()).startswith("-> "):
        kind, *arguments = line.split(" ")[1:]
        stanzas.append(Stanza(kind, tuple(arguments), _body(lines)))
    mark, _, mac = line.partition(" ")
    if mark != "---" or not stanzas:
        raise _malformed("its header is not as age writes it")
    return lines.read[: -len(mac) - 2], stanzas, _decoded(mac)


def _body(lines: _Lines) -> bytes:
    text = ""
    while len(line := lines.next()) == _COLUMNS:
        text += line
    return _decoded(text + line)


def _malformed(why: str) -> VerificationFailed:
    return VerificationFailed(f"{why}; it is damaged or no file of age v1, discard it")

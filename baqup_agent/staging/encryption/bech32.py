"""Bech32 as age uses it for its keys (BIP 173, without the limit on length)."""

from __future__ import annotations

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_CHARACTERS = 6
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def decode(text: str) -> tuple[str, bytes]:
    """Return the prefix, in lower case, and the data of a Bech32 text.

    Raises:
        ValueError: it is none; the message does not hold any of it.
    """
    if text not in (text.lower(), text.upper()):
        raise ValueError("it mixes upper and lower case")
    prefix, separator, symbols = text.lower().rpartition("1")
    if not separator or not prefix or len(symbols) < _CHECKSUM_CHARACTERS:
        raise ValueError("it is too short")
    if any(symbol not in _ALPHABET for symbol in symbols):
        raise ValueError("it has a character that does not belong there")
    values = [_ALPHABET.index(symbol) for symbol in symbols]
    if _polymod(_expanded(prefix) + values) != 1:
        raise ValueError("its own checksum does not hold")
    return prefix, _bytes(values[:-_CHECKSUM_CHARACTERS])


def _expanded(prefix: str) -> list[int]:
    return [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    return check


def _bytes(values: list[int]) -> bytes:
    number = 0
    for value in values:
        number = number << 5 | value
    spare = len(values) * 5 % 8
    if spare >= 5 or number & ((1 << spare) - 1):  # noqa: PLR2004  bits of a symbol
        raise ValueError("it has bits too many")
    return (number >> spare).to_bytes(len(values) * 5 // 8, "big")

"""Encryption held against the programs and packages that others restore with."""

from __future__ import annotations

import base64
import io
import os
import sys
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.errors import BaqupError, ConfigError, DataError, VerificationFailed
from baqup_agent.security.secret import Secret
from baqup_agent.staging.artifact import CIPHERS, Encryption
from baqup_agent.staging.encryption import (
    FORMATS,
    associated_data,
    check_key,
    decrypted,
    encryptor,
)
from baqup_agent.staging.encryption import age_header as header_module
from baqup_agent.staging.encryption.age import SEGMENT_BYTES as AGE_SEGMENT
from baqup_agent.staging.encryption.tink import SEGMENT_BYTES as TINK_SEGMENT

from .oracles import Tink, aes_secret, age_decrypt, oracle

AES, AGE = "aes-256-gcm", "chacha20-poly1305"
BOUND = associated_data("3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4", "data.zst.tink")

IDENTITY = "AGE-SECRET-KEY-13UTXYKZXM52F7E29KJE5EMSMHZFHCKZ7DJTPSZ8GTMZ2N5QRFELQDWFYSN"
AES_KEY = bytes(range(32))
PHRASE = "a phrase that nobody guesses"

#: Content bytes of Tink's first segment and of each other one.
FIRST, REST = TINK_SEGMENT - 56, TINK_SEGMENT - 16

#: Around each border of segments, of both formats.
SIZES = [
    *(0, 1, AGE_SEGMENT - 1, AGE_SEGMENT, AGE_SEGMENT + 1, 3 * AGE_SEGMENT),
    *(FIRST - 1, FIRST, FIRST + 1, FIRST + REST, FIRST + REST + 1),
]


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch):
    """What a passphrase costs is the subject of one test; the others need not pay."""
    monkeypatch.setattr(header_module, "_LOG_N", 10)


def identity() -> str:
    return IDENTITY


def recipient() -> str:
    pyrage = oracle("pyrage")
    return str(pyrage.x25519.Identity.from_str(IDENTITY).to_public())


def secret(algorithm: str) -> Secret:
    return aes_secret(AES_KEY) if algorithm == AES else Secret(IDENTITY)


def encryption(algorithm: str) -> Encryption:
    return Encryption(algorithm, FORMATS[algorithm][0])


def seal(algorithm: str, content: bytes, key: Secret | None = None, step: int = 100_000) -> bytes:
    out = encryptor(algorithm, key or secret(algorithm), associated=BOUND)
    pieces = [out.compress(content[at : at + step]) for at in range(0, len(content), step)]
    return b"".join(map(bytes, [*pieces, out.flush()]))


def open_(algorithm: str, stored: bytes, key: Secret | None = None, bound: bytes = BOUND) -> bytes:
    source = io.BytesIO(stored)
    key = key or secret(algorithm)
    return decrypted(source, encryption(algorithm), key, associated=bound).read()


def test_the_formats_are_those_of_the_manifest():
    """One table names them to the writer, the other judges a manifest."""
    assert {name: form for name, (form, _) in FORMATS.items()} == CIPHERS


def test_what_is_bound_names_job_and_artifact():
    """The text is documented, because whoever decrypts by Tink must give it."""
    job = "3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4"

    assert associated_data(job, "é.tink") == f"baqup/1/{job}/é.tink".encode()


@pytest.mark.parametrize("size", SIZES)
def test_tink_decrypts_what_we_encrypt(size):
    """At every border of segments."""
    content = os.urandom(size)

    assert Tink(AES_KEY).decrypt(seal(AES, content), BOUND) == content


@pytest.mark.parametrize("size", SIZES)
def test_we_decrypt_what_tink_encrypts(size):
    """At every border of segments."""
    content = os.urandom(size)

    assert open_(AES, Tink(AES_KEY).encrypt(content, BOUND)) == content


@pytest.mark.parametrize("key", [identity, recipient])
@pytest.mark.parametrize("size", SIZES)
def test_pyrage_decrypts_what_we_encrypt(size, key):
    """For a recipient, and for the one that belongs to an identity."""
    pyrage = oracle("pyrage")
    content = os.urandom(size)

    stored = seal(AGE, content, Secret(key()))

    assert pyrage.decrypt(stored, [pyrage.x25519.Identity.from_str(IDENTITY)]) == content


@pytest.mark.parametrize("size", SIZES)
def test_we_decrypt_what_pyrage_encrypts(size):
    """At every border of segments, with a second recipient who comes first."""
    pyrage = oracle("pyrage")
    content = os.urandom(size)
    others = pyrage.x25519.Identity.generate().to_public()
    ours = pyrage.x25519.Identity.from_str(IDENTITY).to_public()

    assert open_(AGE, pyrage.encrypt(content, [others, ours])) == content


def test_a_passphrase_is_understood_by_pyrage():
    """The form that pyrage reads as a whole, we write as a stream."""
    pyrage = oracle("pyrage")
    content = os.urandom(AGE_SEGMENT + 1)

    stored = seal(AGE, content, Secret(PHRASE))

    assert pyrage.passphrase.decrypt(stored, PHRASE) == content
    assert open_(AGE, stored, Secret(PHRASE + "\n")) == content


@pytest.mark.parametrize("size", [0, AGE_SEGMENT, FIRST + 1])
def test_the_age_command_decrypts_what_we_encrypt(size, tmp_path):
    """Recovery needs none of our code."""
    content = os.urandom(size)

    assert age_decrypt(seal(AGE, content), IDENTITY, tmp_path) == content


def test_a_passphrase_costs_what_its_guessing_must_cost(monkeypatch):
    """The stored cost is 2^17, which takes 128 MiB once."""
    monkeypatch.undo()
    stored = seal(AGE, b"x", Secret(PHRASE))

    assert stored.splitlines()[1].startswith(b"-> scrypt ")
    assert stored.splitlines()[1].endswith(b" 17")
    assert open_(AGE, stored, Secret(PHRASE)) == b"x"


def test_a_file_that_asks_for_too_much_is_refused_at_once():
    """A foreign header must not take all the memory."""
    stored = seal(AGE, b"x", Secret(PHRASE)).replace(b" 10\n", b" 40\n", 1)

    with pytest.raises(VerificationFailed, match=r"2\^40"):
        open_(AGE, stored, Secret(PHRASE))


@settings(max_examples=30, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from([0, 1, 7, AGE_SEGMENT - 1, AGE_SEGMENT, AGE_SEGMENT + 1, 3 * AGE_SEGMENT]),
        max_size=6,
    )
)
@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_the_pieces_that_content_comes_in_do_not_show(algorithm, pieces):
    """Any sizes of writes give a stream of the one length that its content has."""
    content = os.urandom(sum(pieces))
    out = encryptor(algorithm, secret(algorithm), associated=BOUND)
    view, stored = memoryview(content), b""
    for size in pieces:
        stored += bytes(out.compress(view[:size]))
        view = view[size:]
    stored += bytes(out.flush())

    assert open_(algorithm, stored) == content
    assert len(stored) == len(seal(algorithm, content))


def test_the_same_content_is_never_stored_alike():
    """Salts, nonces and file keys are fresh each time."""
    for algorithm in (AES, AGE):
        assert seal(algorithm, b"content") != seal(algorithm, b"content")


def segments_of(algorithm: str, stored: bytes) -> list[bytes]:
    """The header by itself, then each segment as stored."""
    if algorithm == AES:
        start, first, size = 40, TINK_SEGMENT - 40, TINK_SEGMENT
    else:
        start = stored.index(b"\n--- ") + 5 + 43 + 1 + 16
        first = size = AGE_SEGMENT + 16
    borders = [0, start, *range(start + first, len(stored), size), len(stored)]
    return [stored[a:b] for a, b in pairwise(borders)]


def three_segments(algorithm: str) -> tuple[bytes, list[bytes]]:
    first, rest = (FIRST, REST) if algorithm == AES else (AGE_SEGMENT, AGE_SEGMENT)
    content = os.urandom(first + 2 * rest)
    segments = segments_of(algorithm, seal(algorithm, content))
    assert len(segments) == 4
    return content, segments


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_a_stream_cut_between_two_segments_is_told_as_cut(algorithm):
    """Each segment by itself is authentic; that it was not the last is not."""
    content, (header, *segments) = three_segments(algorithm)

    for kept in (1, 2):
        stream = decrypted(
            io.BytesIO(header + b"".join(segments[:kept])),
            encryption(algorithm),
            secret(algorithm),
            associated=BOUND,
        )
        with pytest.raises(VerificationFailed, match=f"cut off: segment {kept} "):
            stream.read()
    assert open_(algorithm, header + b"".join(segments)) == content


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_segments_that_changed_places_are_refused(algorithm):
    """Swapped, repeated, left out, or followed by another stream."""
    _, (header, one, two, three) = three_segments(algorithm)
    for order in ([two, one, three], [one, two, two, three], [one, three], [one, two, three, one]):
        with pytest.raises((VerificationFailed, ConfigError)):
            open_(algorithm, header + b"".join(order))


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_only_authentic_segments_are_handed_out_before_a_fault(algorithm):
    """Bytes that precede the fault are right; none of the segment at fault is given."""
    content, (header, one, two, three) = three_segments(algorithm)
    bad = bytearray(two)
    bad[1000] ^= 1
    stream = decrypted(
        io.BytesIO(header + one + bytes(bad) + three),
        encryption(algorithm),
        secret(algorithm),
        associated=BOUND,
    )
    got = io.BytesIO()
    with pytest.raises(VerificationFailed, match="segment 2 "):
        got.writelines(iter(lambda: stream.read(1000), b""))

    size = len(one) - 16
    assert content.startswith(got.getvalue())
    assert got.tell() > size - 1000


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_a_cut_at_any_byte_is_refused(algorithm):
    """In the header, in a segment, in a tag."""
    stored = seal(algorithm, os.urandom(300))
    for size in range(len(stored)):
        with pytest.raises((VerificationFailed, ConfigError)) as caught:
            open_(algorithm, stored[:size])
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_any_flipped_bit_is_refused(algorithm):
    """Each byte in turn, header and tag included."""
    content = os.urandom(120)
    stored = seal(algorithm, content)
    for at in range(len(stored)):
        bad = bytearray(stored)
        bad[at] ^= 1 << at % 8
        with pytest.raises((VerificationFailed, ConfigError)):
            open_(algorithm, bytes(bad))


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_a_byte_behind_the_end_is_refused(algorithm):
    """Nothing can be added."""
    with pytest.raises((VerificationFailed, ConfigError)):
        open_(algorithm, seal(algorithm, b"content") + b"x")


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_an_empty_segment_at_the_end_is_refused(algorithm):
    """Authentic as it is, no program writes one: there is one way only to store a content."""
    out = encryptor(algorithm, secret(algorithm), associated=BOUND)
    full = memoryview(bytes(FIRST if algorithm == AES else AGE_SEGMENT))
    stored = out._seal(full, last=False) + out._seal(memoryview(b""), last=True)

    with pytest.raises(VerificationFailed, match="segment 2"):
        open_(algorithm, stored)


def test_a_second_spelling_of_a_header_is_refused():
    """The last character of a base64 text has bits to spare; age leaves them zero."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    stored = bytearray(seal(AGE, b"content"))
    at = stored.index(b"\n--- ") + 5 + 42
    stored[at] = alphabet[alphabet.index(stored[at]) + 1]

    with pytest.raises(VerificationFailed, match="not as age writes it"):
        open_(AGE, bytes(stored))


WRONG_KEYS = [
    (AES, aes_secret(bytes(32)), "another key"),
    (AGE, Secret(PHRASE), "an identity"),
]


@pytest.mark.parametrize(("algorithm", "key", "words"), WRONG_KEYS, ids=["aes", "phrase"])
def test_a_wrong_key_is_a_configuration_error(algorithm, key, words):
    """It names the variable and what to set, and not the key."""
    with pytest.raises(ConfigError, match="BAQUP_SECRET_ARTIFACT_KEY") as caught:
        open_(algorithm, seal(algorithm, b"content"), key)

    assert words in caught.value.message
    assert key.reveal() not in caught.value.message


def test_a_wrong_identity_and_a_wrong_passphrase_are_told():
    """Also an identity where a passphrase is needed, and a recipient, which decrypts nothing."""
    pyrage = oracle("pyrage")
    other = str(pyrage.x25519.Identity.generate())
    by_phrase, by_key = seal(AGE, b"x", Secret(PHRASE)), seal(AGE, b"x")

    for stored, key, words in [
        (by_key, other, "another key"),
        (by_phrase, PHRASE + "?", "another key"),
        (by_phrase, IDENTITY, "for a passphrase"),
        (by_key, recipient(), "encrypt only"),
    ]:
        with pytest.raises(ConfigError, match=words):
            open_(AGE, stored, Secret(key))


def test_another_jobs_bytes_do_not_open():
    """What was written for one job and name is not taken for another's."""
    stored = seal(AES, b"content")

    for bound in (associated_data("another job", "data.zst.tink"), b""):
        with pytest.raises(ConfigError, match="another job or under another name"):
            open_(AES, stored, bound=bound)


@pytest.mark.parametrize(
    ("algorithm", "value", "words"),
    [
        (AES, "", "32 bytes in base64"),
        (AES, "not base64 at all", "32 bytes in base64"),
        (AES, base64.b64encode(bytes(31)).decode(), "32 bytes in base64"),
        (AES, base64.b64encode(bytes(33)).decode(), "openssl rand -base64 32"),
        (AES, "\udcff", "UTF-8"),
        (AGE, "", "at least 12 characters"),
        (AGE, "elevenchars", "age-keygen"),
        (AGE, "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2", "checksum"),
        (AGE, "age1b", "too short"),
        (AGE, "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "kind"),
        (AGE, IDENTITY[:-1], "checksum"),
        (AGE, IDENTITY[:-1] + "f", "mixes"),
        (AGE, IDENTITY[:20] + "!" + IDENTITY[21:], "does not belong"),
    ],
)
def test_a_key_that_is_none_is_refused_at_the_start(algorithm, value, words):
    """The line names variable, rule and remedy; nothing of the key is in it."""
    with pytest.raises(ConfigError, match="BAQUP_SECRET_ARTIFACT_KEY") as caught:
        check_key(algorithm, Secret(value))

    assert words in caught.value.message
    assert caught.value.exit_code == 64
    assert not value or value not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        (AES, base64.b64encode(AES_KEY).decode() + "\n"),
        (AES, base64.urlsafe_b64encode(b"\xff" * 32).decode()),
        (AGE, IDENTITY + "\n"),
        (AGE, IDENTITY.lower()),
        (AGE, "twelve chars"),
    ],
)
def test_a_good_key_is_taken_however_it_is_spelt(algorithm, value):
    """With the line break of a file, in either alphabet, in either case."""
    check_key(algorithm, Secret(value))

    assert open_(algorithm, seal(algorithm, b"x", Secret(value)), Secret(value)) == b"x"


def test_an_unknown_algorithm_is_a_configuration_error():
    """It names what there is."""
    with pytest.raises(ConfigError, match="aes-256-gcm, chacha20-poly1305"):
        check_key("rot13", Secret("x"))


@pytest.mark.parametrize("form", [("aes-256-gcm", "age-v1"), ("rot13", "rot13")])
def test_a_format_that_does_not_belong_to_its_algorithm_is_a_data_error(form):
    """A manifest of another version, or a mistaken one."""
    with pytest.raises(DataError, match="cannot read"):
        decrypted(io.BytesIO(b""), Encryption(*form), secret(AES), associated=b"")


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    """Before any byte is read or written."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

    with pytest.raises(ConfigError, match=r"baqup-agent\[encryption\]"):
        check_key(AES, secret(AES))


MALFORMED = {
    "armour": b"-----BEGIN AGE ENCRYPTED FILE-----\n",
    "version": b"age-encryption.org/v2\n-> X25519 x\n\n--- x\n",
    "nothing": b"age-encryption.org/v1\n--- AAAA\n",
    "endless line": b"age-encryption.org/v1\n" + b"-> " + b"x" * (1 << 17),
    "endless stanzas": b"age-encryption.org/v1\n" + b"-> grease\n\n" * 20_000,
    "not ascii": b"age-encryption.org/v1\n-> \xff\n\n--- x\n",
    "base64": b"age-encryption.org/v1\n-> X25519 @@@\n\n--- AAAA\n",
    "share": b"age-encryption.org/v1\n-> X25519 AAAA\nAAAA\n--- AAAA\n",
    "low order": b"age-encryption.org/v1\n-> X25519 "
    + b"A" * 43
    + b"\n"
    + b"A" * 43
    + b"\n--- AAAA\n",
    "two ways": b"age-encryption.org/v1\n-> scrypt AAAA 10\nAAAA\n-> X25519 AAAA\nAAAA\n--- AAAA\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_header_is_refused_in_one_line(name):
    """However long it is."""
    with pytest.raises(VerificationFailed, match="age v1") as caught:
        open_(AGE, MALFORMED[name])

    assert "\n" not in caught.value.message


@pytest.mark.parametrize("arguments", [b"AAAA 10", b"AAAAAAAAAAAAAAAAAAAAAA 010", b"x"])
def test_a_malformed_passphrase_stanza_is_refused(arguments):
    """A salt of a wrong length, a number with a zero in front, and too few words."""
    header = b"age-encryption.org/v1\n-> scrypt " + arguments + b"\n" + b"A" * 43 + b"\n--- AAAA\n"

    with pytest.raises(VerificationFailed, match="age v1"):
        open_(AGE, header, Secret(PHRASE))


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200), algorithm=st.sampled_from([AES, AGE]))
def test_no_bytes_raise_anything_but_our_errors(data, algorithm):
    """As they are, and behind the first line of age."""
    for stored in (data, b"age-encryption.org/v1\n" + data):
        with pytest.raises(BaqupError):
            open_(algorithm, stored)


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_memory_does_not_grow_with_the_content(algorithm):
    """A hundred mebibytes pass in a few."""

    class Endless(io.RawIOBase):
        """Encrypts zeros as they are read."""

        left = 100 << 20
        ready = b""
        out = encryptor(algorithm, secret(algorithm), associated=BOUND)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            while not self.ready and self.left >= 0:
                piece = bytes(min(self.left, 1 << 20))
                self.left -= 1 << 20
                self.ready = bytes(self.out.compress(piece) if piece else self.out.flush())
            count = min(len(buffer), len(self.ready))
            buffer[:count], self.ready = self.ready[:count], self.ready[count:]
            return count

    tracemalloc.start()
    try:
        source = io.BufferedReader(Endless(), 1 << 20)
        stream = decrypted(source, encryption(algorithm), secret(algorithm), associated=BOUND)
        read = 0
        while piece := stream.read(1 << 20):
            read += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert read == 100 << 20
    assert peak < 16 << 20

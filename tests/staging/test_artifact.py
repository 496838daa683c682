from __future__ import annotations

import attrs
import pytest

from baqup_agent.errors import InternalError, VerificationFailed
from baqup_agent.staging.artifact import MAX_PARTS, Artifact, Encryption, Part, check_name

ZEROS = "0" * 64

BAD_NAMES = {
    "": "empty",
    ".": "begin with '.'",
    "..": "begin with '.'",
    ".hidden": "begin with '.'",
    "a/b": "'/'",
    "/etc/passwd": "'/'",
    "../up": "'/'",
    "nul\0byte": "control",
    "line\nbreak": "control",
    "tab\there": "control",
    "manifest.json": "manifest",
    "x" * 256: "255 bytes",
    "ö" * 128: "255 bytes",
    "\udcff": "UTF-8",
}

UNPRINTABLE = ["bell\x7f", "right\u202eto-left", "no-break\u00a0space", "line\u2028separator"]


@pytest.mark.parametrize(
    "name", ["data.tar", "a", "x" * 255, "ö" * 127, "with space", "x..y", "-r"]
)
def test_a_plain_name_is_good(name):
    """A file name of at most 255 bytes that shows on a terminal is accepted."""
    assert check_name(name) == name


@pytest.mark.parametrize(("name", "rule"), BAD_NAMES.items())
def test_a_bad_name_is_the_agents_bug(name, rule):
    """The error is one line that names the name, the rule and the remedy."""
    with pytest.raises(InternalError) as caught:
        check_name(name)

    error = caught.value
    assert error.code == "ARTIFACT_NAME_INVALID"
    assert error.exit_code == 70
    assert repr(name) in error.message
    assert rule in error.message
    assert "choose" in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize("name", UNPRINTABLE)
def test_a_name_that_does_not_show_is_refused_when_written(name):
    """What an author names will stand in logs and on terminals."""
    with pytest.raises(InternalError, match="printable"):
        check_name(name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_manifest_with_a_bad_name_does_not_hold(name):
    """A name that could lead elsewhere is refused before anything is opened."""
    wire = Artifact("x", 1, "sha256", ZEROS).to_wire() | {"filename": name}

    with pytest.raises(VerificationFailed, match="filename"):
        Artifact.from_wire(wire)


def test_an_artifact_survives_the_wire():
    """What is written is what is read, member for member."""
    artifact = Artifact("data.tar.zst", 7, "sha512", "ab" * 64, compression="zstd", encrypted=True)

    assert artifact.to_wire() == {
        "filename": "data.tar.zst",
        "size_bytes": 7,
        "checksum": {"algorithm": "sha512", "value": "ab" * 64},
        "compression": "zstd",
        "encrypted": True,
    }
    assert Artifact.from_wire(artifact.to_wire()) == artifact


def test_what_the_contract_does_not_require_has_a_default():
    """Compression and encryption may be left out of a manifest."""
    wire = {"filename": "a", "size_bytes": 0, "checksum": {"algorithm": "blake3", "value": ZEROS}}

    assert Artifact.from_wire(wire) == Artifact("a", 0, "blake3", ZEROS)


PART = Artifact("data.part00002", 7, "sha256", ZEROS, part=Part("data", 2, 3))
ENCRYPTED = Artifact(
    "data.age",
    7,
    "sha256",
    ZEROS,
    encrypted=True,
    encryption=Encryption("chacha20-poly1305", "age-v1", "key-1"),
)


@pytest.mark.parametrize("artifact", [PART, ENCRYPTED], ids=["part", "encrypted"])
def test_parts_and_encryption_survive_the_wire(artifact):
    """What is written is what is read, member for member."""
    assert Artifact.from_wire(artifact.to_wire()) == artifact


def test_parts_and_encryption_are_written_as_the_contract_says():
    """Objects with their own members; a key without a name is not named."""
    assert PART.to_wire()["part"] == {"of": "data", "number": 2, "count": 3}
    nameless = attrs.evolve(ENCRYPTED, encryption=Encryption("chacha20-poly1305", "age-v1"))
    assert nameless.to_wire()["encryption"] == {
        "algorithm": "chacha20-poly1305",
        "format": "age-v1",
    }
    assert PART.joined_name == "data"
    assert ENCRYPTED.joined_name == "data.age"


WRONG_PARTS = {
    "not an object": (2, "part"),
    "without number": ({"of": "data", "count": 3}, r"part\.number"),
    "number 0": ({"of": "data", "number": 0, "count": 3}, r"part\.number"),
    "beyond count": ({"of": "data", "number": 4, "count": 3}, r"part\.number"),
    "no parts": ({"of": "data", "number": 1, "count": 0}, r"part\.count"),
    "too many": ({"of": "data", "number": 2, "count": MAX_PARTS + 1}, r"part\.count"),
    "of elsewhere": ({"of": "../data", "number": 2, "count": 3}, r"part\.of"),
    "of another": ({"of": "other", "number": 2, "count": 3}, r"filename.*'other\.part00002'"),
    "another number": ({"of": "data", "number": 3, "count": 3}, r"filename.*'data\.part00003'"),
}


@pytest.mark.parametrize(("part", "named"), WRONG_PARTS.values(), ids=WRONG_PARTS)
def test_a_part_that_cannot_be_is_refused(part, named):
    """The member that breaks its rule is named."""
    with pytest.raises(VerificationFailed, match=named):
        Artifact.from_wire(PART.to_wire() | {"part": part})


WRONG_ENCRYPTION = {
    "not encrypted": ({"encrypted": False}, "encrypted"),
    "not an object": ({"encryption": "age"}, "encryption"),
    "unknown cipher": ({"encryption": {"algorithm": "rot13", "format": "age-v1"}}, "algorithm"),
    "unknown format": (
        {"encryption": {"algorithm": "aes-256-gcm", "format": "zip"}},
        r"encryption\.format",
    ),
    "empty key id": (
        {"encryption": {"algorithm": "aes-256-gcm", "format": "age-v1", "key_id": ""}},
        r"encryption\.key_id",
    ),
}


@pytest.mark.parametrize(("change", "named"), WRONG_ENCRYPTION.values(), ids=WRONG_ENCRYPTION)
def test_an_encryption_that_cannot_be_is_refused(change, named):
    """The member that breaks its rule is named."""
    with pytest.raises(VerificationFailed, match=named):
        Artifact.from_wire(ENCRYPTED.to_wire() | change)


def test_an_artifact_may_be_encrypted_by_another_agents_means():
    """The contract asks for no more than the flag; only its content cannot be read here."""
    wire = Artifact("data.gpg", 7, "sha256", ZEROS, encrypted=True).to_wire()

    assert Artifact.from_wire(wire).encryption is None


@pytest.mark.parametrize("name", ["a.part00001", "a.b.part99999"])
def test_names_of_parts_are_not_given_to_artifacts(name):
    """A manifest may list them, and an author may not choose them."""
    with pytest.raises(InternalError, match="parts of a split artifact"):
        check_name(name)
    assert Artifact.from_wire(PART.to_wire() | {"filename": "data.part00002"})


@pytest.mark.parametrize("name", ["a.part1", "a.part000001", "a.part00001x", "part00001"])
def test_names_that_only_resemble_a_parts_are_good(name):
    """The rule is as narrow as it can be."""
    assert check_name(name) == name

from __future__ import annotations

import pytest

from baqup_agent.errors import InternalError, VerificationFailed
from baqup_agent.staging.artifact import Artifact, check_name

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

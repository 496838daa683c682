from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from baqup_agent.contract import Role
from baqup_agent.errors import InternalError, IOFailure, LimitExceeded, VerificationFailed
from baqup_agent.staging import manifest as module
from baqup_agent.staging.artifact import Artifact, Part, part_name
from baqup_agent.staging.manifest import Manifest

SPEC = Path(__file__).parents[2] / "spec"
CASES = SPEC / "cases" / "manifest"
JOB = "3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4"
ARTIFACT = Artifact("data.tar.zst", 12, "sha256", "0" * 64, "zstd")
WIRE = {
    "version": "1.0",
    "job_id": JOB,
    "agent": "agent-test",
    "agent_version": "1.2.3",
    "role": "snapshot",
    "created_at": "2026-01-15T03:04:41.218043Z",
    "artifacts": [ARTIFACT.to_wire()],
    "source_metadata": {"type": "filesystem", "files_included": 3},
}


def made(**changes: object) -> Manifest:
    members = {
        "job_id": JOB,
        "agent": "agent-test",
        "role": Role.SNAPSHOT,
        "created_at": "2026-01-15T03:04:41.218043Z",
        "artifacts": [ARTIFACT],
    }
    return Manifest(**(members | changes))


def cases(kind: str) -> list[Path]:
    return sorted((CASES / kind).glob("*.json"))


def test_the_specification_has_cases_of_both_kinds():
    """The tests below would pass on empty folders."""
    assert len(cases("valid")) >= 10
    assert len(cases("invalid")) >= 30


@pytest.mark.parametrize("case", cases("valid"), ids=lambda case: case.stem)
def test_a_valid_case_of_the_specification_is_read(case):
    """Every manifest that the contract allows is understood, and can be written again."""
    manifest = Manifest.read(case)

    assert Manifest.from_wire(json.loads(manifest.to_bytes())) == manifest


@pytest.mark.parametrize("case", cases("invalid"), ids=lambda case: case.stem)
def test_an_invalid_case_of_the_specification_is_refused(case):
    """Every manifest that breaks the contract is corrupt, told in one line with the file's name."""
    with pytest.raises(VerificationFailed) as caught:
        Manifest.read(case)

    message = caught.value.message
    assert str(case) in message
    assert "\n" not in message
    assert "discard" in message
    assert caught.value.exit_code == 65


def test_the_wire_form_has_the_contracts_members():
    """Names and nesting are the contract's; the role is a plain word."""
    manifest = made(agent_version="1.2.3", source_metadata=WIRE["source_metadata"])

    assert manifest.to_wire() == WIRE
    assert json.loads(manifest.to_bytes()) == WIRE
    assert manifest.to_bytes().endswith(b"}\n")


def test_a_member_that_was_not_given_is_left_out():
    """An agent without a version does not claim one."""
    assert "agent_version" not in made().to_wire()


def test_odd_file_names_and_paths_in_the_metadata_become_valid_text():
    """Strict readers in other languages refuse a document with half a surrogate pair."""
    manifest = made(source_metadata={"path": Path("/data"), "raw": "caf\udce9", "umlaut": "ö"})

    wire = json.loads(manifest.to_bytes().decode("utf-8", errors="strict"))

    assert wire["source_metadata"] == {"path": "/data", "raw": "caf\ufffd", "umlaut": "ö"}


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()], ids=["nan", "set", "object"])
def test_metadata_that_is_no_json_is_the_agents_bug(value):
    """It is told in one line what can be written."""
    with pytest.raises(InternalError, match="JSON") as caught:
        made(source_metadata={"bad": value}).to_bytes()

    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"artifacts": []},
        {"artifacts": [ARTIFACT, ARTIFACT]},
        {"role": "backup"},
        {"created_at": "yesterday"},
        {"agent": ""},
        {"job_id": "../x"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_manifest_that_readers_would_refuse_is_never_written(changes):
    """The writer is held to the reader's rules."""
    with pytest.raises(InternalError, match="must not be published"):
        made(**changes).to_bytes()


def test_a_manifest_that_is_too_long_to_be_read_is_never_written(monkeypatch):
    """What one more byte would make unreadable is refused before anything is published."""
    manifest = made(source_metadata={"text": "x" * 1000})
    content = manifest.to_bytes()
    monkeypatch.setattr(module, "MAX_BYTES", len(content))
    assert manifest.to_bytes() == content

    monkeypatch.setattr(module, "MAX_BYTES", len(content) - 1)
    with pytest.raises(LimitExceeded, match="fewer artifacts") as caught:
        manifest.to_bytes()
    assert "\n" not in caught.value.message


BAD_DOCUMENTS = {
    "not utf-8": b'{"version": "\xff"}',
    "empty": b"",
    "cut short": json.dumps(WIRE).encode()[:-20],
    "nan": json.dumps(WIRE | {"source_metadata": {"x": float("nan")}}).encode(),
    "deep": b"[" * 200_000,
    "huge number": b'{"version": ' + b"9" * 5000 + b"}",
    "repeated member": json.dumps(WIRE).replace('{"version"', '{"agent": "x", "version"').encode(),
    "two documents": json.dumps(WIRE).encode() * 2,
}


@pytest.mark.parametrize("content", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_a_document_that_is_no_json_is_refused(content, tmp_path):
    """Readers differ on such documents, so none of them may be trusted."""
    file = tmp_path / "manifest.json"
    file.write_bytes(content)

    with pytest.raises(VerificationFailed, match="not valid JSON"):
        Manifest.read(file)


@pytest.mark.parametrize("size", [2**63, 10**400], ids=["just too large", "no float"])
def test_a_size_that_no_file_has_is_refused(size, tmp_path):
    """It is in JSON, and in no contract's words wrong; a share of it would be an OverflowError."""
    file = tmp_path / "manifest.json"
    most = ARTIFACT.to_wire() | {"size_bytes": 2**63 - 1}
    file.write_text(json.dumps(WIRE | {"artifacts": [most]}), encoding="utf-8")
    assert Manifest.read(file).artifacts[0].size_bytes == 2**63 - 1

    more = most | {"size_bytes": size}
    file.write_text(json.dumps(WIRE | {"artifacts": [more]}), encoding="utf-8")
    with pytest.raises(VerificationFailed, match=r"artifacts\[0\]\.size_bytes is \d+.*so large"):
        Manifest.read(file)


def test_a_manifest_in_a_closed_directory_cannot_be_read(tmp_path):
    """It is no bare error of the system, and no verdict on the backup."""
    closed = tmp_path / "closed"
    (closed / "job").mkdir(parents=True)
    closed.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 12345)  # root enters everywhere
    try:
        with pytest.raises(IOFailure, match="Permission denied"):
            Manifest.read(closed / "job")
    finally:
        os.seteuid(user)
        closed.chmod(0o700)


def test_an_absent_manifest_means_an_incomplete_backup(tmp_path):
    """The reader's first rule."""
    with pytest.raises(VerificationFailed, match="incomplete"):
        Manifest.read(tmp_path)


def test_a_monstrous_manifest_is_not_loaded(tmp_path, monkeypatch):
    """Memory is not given to whatever lies there."""
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    file = tmp_path / "manifest.json"
    file.write_bytes(made().to_bytes() + b" " * 1000)

    with pytest.raises(VerificationFailed, match="more than 1000 bytes"):
        Manifest.read(file)


def test_a_pipe_in_the_manifests_place_does_not_hang_the_reader(tmp_path):
    """Only a regular file is opened for reading."""
    os.mkfifo(tmp_path / "manifest.json")

    with pytest.raises(IOFailure, match="not a regular file"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_link_in_the_manifests_place_is_not_followed(tmp_path):
    """The manifest of another place is not this job's."""
    (tmp_path / "elsewhere.json").write_bytes(made().to_bytes())
    (tmp_path / "manifest.json").symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(IOFailure, match=r"manifest\.json"):
        Manifest.read(tmp_path)


SCHEMA = Draft202012Validator(
    json.loads((SPEC / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
)
PLACES = [
    ("version",),
    ("job_id",),
    ("agent",),
    ("agent_version",),
    ("role",),
    ("created_at",),
    ("artifacts",),
    ("source_metadata",),
    *[
        ("artifacts", 0, *rest)
        for rest in [
            (),
            ("filename",),
            ("size_bytes",),
            ("checksum",),
            ("checksum", "algorithm"),
            ("checksum", "value"),
            ("checksum", "extra"),
            ("compression",),
            ("encrypted",),
            ("extra",),
        ]
    ],
]
TELLING = [
    None,
    True,
    False,
    0,
    1,
    -1,
    5.0,
    5.5,
    -0.0,
    10**30,
    "",
    "1.0",
    "sha256",
    "sha512",
    "blake3",
    "md5",
    "zstd",
    "none",
    "restore",
    "manifest.json",
    "0" * 64,
    "A" * 64,
    "f" * 128,
    JOB.upper(),
    "2026-12-31T23:59:60Z",
    "2026-12-31T23:59:59.123456789Z",
    "2026-13-01T00:00:00Z",
    "2026-12-31T24:00:00Z",
    "x" * 255,
    "x" * 256,
    [],
    {},
    [{}],
    [ARTIFACT.to_wire()],
    {"algorithm": "sha256"},
]
VALUES = st.one_of(
    st.sampled_from(TELLING),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet="ab.-/:_\x01 0ö", max_size=6),
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_code_and_schema_agree_on_every_telling_value(place):
    """Each member of a good manifest in turn is given each of the values that decide a rule."""
    for value in TELLING:
        wire = json.loads(json.dumps(WIRE))
        _set(wire, place, value)
        assert accepted(wire) == SCHEMA.is_valid(wire), value


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=2))
def test_code_and_schema_agree_on_every_document(changes):
    """The hand-written reader and the specification's schema give the same verdict."""
    wire = json.loads(json.dumps(WIRE))
    for place, value in changes:
        _set(wire, place, value)

    assert accepted(wire) == SCHEMA.is_valid(wire)


def accepted(wire: object) -> bool:
    try:
        Manifest.from_wire(wire)
    except VerificationFailed:
        return False
    return True


def _set(wire: object, place: tuple[object, ...], value: object) -> None:
    *parents, last = place
    try:
        for key in parents:
            wire = wire[key]
        wire[last] = value
    except (TypeError, IndexError, KeyError):
        return  # an earlier change took the place away


def parts_of(name: str, count: int, **changes: object) -> list[Artifact]:
    """The entries of a split artifact."""
    whole = {"size_bytes": 1, "checksum_algorithm": "sha256", "checksum_value": "0" * 64}
    return [
        Artifact(part_name(name, number), **whole | changes, part=Part(name, number, count))
        for number in range(1, count + 1)
    ]


def listing(*artifacts: Artifact) -> dict[str, object]:
    """A manifest of these, as JSON holds it."""
    return WIRE | {"artifacts": [artifact.to_wire() for artifact in artifacts]}


def test_split_artifacts_are_listed_part_by_part():
    """Several of them, in any order."""
    artifacts = [*parts_of("b", 2), *reversed(parts_of("a", 12))]

    assert Manifest.from_wire(listing(*artifacts)).artifacts == tuple(artifacts)


BROKEN_SETS = {
    "one missing": (parts_of("data", 4)[:2] + parts_of("data", 4)[3:], "3 of its parts"),
    "the last missing": (parts_of("data", 3)[:-1], "2 of its parts"),
    "of two counts": (parts_of("data", 3)[:2] + parts_of("data", 4)[2:3], "3 of its parts"),
    "whole as well": (
        [*parts_of("data", 2), Artifact("data", 1, "sha256", "0" * 64)],
        "whole and in parts",
    ),
    "stored in two ways": (
        parts_of("data", 2)[:1] + parts_of("data", 2, compression="zstd")[1:],
        "in one way",
    ),
}


@pytest.mark.parametrize(("artifacts", "rule"), BROKEN_SETS.values(), ids=BROKEN_SETS)
def test_a_set_of_parts_that_is_not_whole_does_not_hold(artifacts, rule):
    """Half an artifact is as good as none, however good each of its files is."""
    with pytest.raises(VerificationFailed, match=f"'data'.*{rule}"):
        Manifest.from_wire(listing(*artifacts))

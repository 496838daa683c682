"""Every form an artifact can be stored in: compression, checksum, encryption, one file or parts."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import ConfigError, InternalError, IOFailure, LimitExceeded, OutputError
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret
from baqup_agent.staging.area import Staging
from baqup_agent.staging.artifact import CIPHERS, Encryption, Part
from baqup_agent.staging.checksum import ALGORITHMS, compute_checksum
from baqup_agent.staging.cipher import cipher_for
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.encryption import FORMATS, associated_data, decrypted
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.pipeline import BUFFER_BYTES
from baqup_agent.staging.verification import verify

from .conftest import manifest_of, names, put

#: Made by `age-keygen` for this test.
AGE_IDENTITY = "AGE-SECRET-KEY-18YWE79GVRF7ZGJLH6QMXQ2P90U2LWE6J2ACU5XEML5ECSM7C3HTQQFYW7C"

KEYS = {
    "aes-256-gcm": Secret(base64.b64encode(bytes(range(32))).decode()),
    "chacha20-poly1305": Secret(AGE_IDENTITY),
}

#: Five buffers, half of them noise: enough for workers of the compressor, and for parts.
CONTENT = (os.urandom(BUFFER_BYTES // 2) + bytes(BUFFER_BYTES // 2)) * 5

SPLIT_BYTES = 600_000

FORMS = list(itertools.product(CODECS, ALGORITHMS, [None, *CIPHERS], [0, SPLIT_BYTES]))


def require(condition: object, reason: str) -> None:
    """Skip where something is not installed; in CI all of it must be."""
    if not condition:
        assert "CI" not in os.environ, reason
        pytest.skip(reason)


@pytest.fixture
def area(tmp_path: Path) -> Iterator[Callable[..., Staging]]:
    """Makes prepared staging areas from settings of artifacts."""
    made: list[Staging] = []

    def make(**settings: object) -> Staging:
        staging = Staging(
            tmp_path / "staging",
            str(uuid4()),
            ArtifactSettings(**settings),
            log=NullLog(),
            workers=2,
        )
        made.append(staging)
        staging.prepare()
        return staging

    yield make
    for staging in made:
        staging.close()


def settings_for(cipher: str | None) -> dict[str, object]:
    if cipher is None:
        return {}
    require(find_spec("cryptography"), "the package cryptography is not installed")
    return {"encrypt": True, "encryption": cipher, "key": KEYS[cipher], "key_id": "2026-a"}


def opened(directory: Path, manifest: Manifest) -> bytes:
    """The content of a job's only artifact, by its parts, its cipher and its codec."""
    first = manifest.artifacts[0]
    joined = directory.parent / "joined"
    joined.write_bytes(b"".join((directory / a.filename).read_bytes() for a in manifest.artifacts))
    with joined.open("rb") as file:
        source = file
        if first.encryption is not None:
            bound = associated_data(manifest.job_id, first.joined_name)
            key = KEYS[first.encryption.algorithm]
            source = decrypted(file, first.encryption, key, associated=bound)
        return CODECS[first.compression].opener(source).read()


@pytest.mark.parametrize(("codec", "checksum", "cipher", "split"), FORMS)
def test_every_form_is_published_verified_and_read_back(codec, checksum, cipher, split, area):
    """All 72 of them: codec, checksum, cipher, split or not."""
    require(CODECS[codec].available(), f"the package of {codec} is not installed")
    require(checksum != "blake3" or find_spec("blake3"), "the package blake3 is not installed")
    staging = area(
        compression=codec,
        compression_level=1,
        checksum_algorithm=checksum,
        split_size=str(split),
        **settings_for(cipher),
    )
    name = put(staging, "data", CONTENT)
    directory = staging.publish(manifest_of(staging))

    manifest = Manifest.read(directory)
    assert verify(directory).ok
    assert opened(directory, manifest) == CONTENT
    suffix = FORMATS[cipher][1] if cipher else ""
    assert name == f"data{CODECS[codec].suffix}{suffix}"
    for artifact in manifest.artifacts:
        assert artifact.joined_name == name
        assert artifact.encrypted == (cipher is not None)
        assert (artifact.encryption is not None) == artifact.encrypted
        assert artifact.checksum_value == compute_checksum(directory / artifact.filename, checksum)
    if split:
        sizes = [artifact.size_bytes for artifact in manifest.artifacts]
        assert len(sizes) > 2
        assert set(sizes[:-1]) == {split}
        assert 0 < sizes[-1] <= split
        assert names(directory) == [*(a.filename for a in manifest.artifacts), "manifest.json"]


def test_the_manifest_tells_how_an_artifact_is_encrypted(area):
    """Algorithm, format and the key's name; never the key."""
    staging = area(**settings_for("aes-256-gcm"))
    put(staging, "data", b"x")
    directory = staging.publish(manifest_of(staging))

    assert Manifest.read(directory).artifacts[0].encryption == Encryption(
        "aes-256-gcm", "tink-aes256-gcm-hkdf-1mb", "2026-a"
    )
    assert KEYS["aes-256-gcm"].reveal() not in (directory / "manifest.json").read_text()


@pytest.mark.parametrize("cipher", CIPHERS)
def test_the_same_content_is_never_stored_twice_alike(cipher, area):
    """Each artifact has a nonce of its own, and nothing of the content shows."""
    require(find_spec("cryptography"), "the package cryptography is not installed")
    stored = []
    for _ in range(2):
        staging = area(compression="none", **settings_for(cipher))
        name = put(staging, "data", b"secret row\n" * 1000)
        stored.append((staging.directory / ".staging" / name).read_bytes())

    assert stored[0] != stored[1]
    assert b"secret row" not in stored[0]


@pytest.mark.parametrize("key", [None, Secret("too short")], ids=["none", "unfit"])
def test_a_key_that_is_missing_or_unfit_is_found_before_the_work(key, area):
    """In one line that names the variable and never the key; exit 64."""
    require(find_spec("cryptography"), "the package cryptography is not installed")
    with pytest.raises(ConfigError, match="BAQUP_SECRET_ARTIFACT_KEY") as caught:
        area(encrypt=True, key=key)

    assert caught.value.exit_code == 64
    assert "too short" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cipher_that_is_unknown_is_a_configuration_error(area):
    """The choice is named."""
    with pytest.raises(ConfigError, match=r"ENCRYPT_ALGORITHM is 'rot13'.*aes-256-gcm"):
        area(encrypt=True, encryption="rot13", key=KEYS["aes-256-gcm"])


def test_an_error_of_the_cipher_gives_the_artifact_up(area, monkeypatch):
    """Bytes that could not be encrypted are stored in no other way."""

    class Broken:
        def compress(self, data: object) -> bytes:
            raise MemoryError

        def flush(self) -> bytes:
            return b""

    staging = area(**settings_for("aes-256-gcm"))

    def broken(*arguments: object) -> object:
        from attrs import evolve

        return evolve(cipher_for(*arguments), encryptor=Broken)

    monkeypatch.setattr("baqup_agent.staging.area.cipher_for", broken)
    for size in (10, 3 * BUFFER_BYTES):
        with pytest.raises(MemoryError):
            put(staging, "data", os.urandom(size))

    assert names(staging.directory / ".staging") == []


COMMANDS = [("zstd", "zstd"), ("gzip", "gzip"), ("lz4", "lz4")]


@pytest.mark.parametrize(("codec", "command"), COMMANDS)
@pytest.mark.parametrize("split", ["0", "500K"])
def test_the_ordinary_commands_read_what_is_written(codec, command, split, area):
    """``cat parts | zstd -d``: a restore needs none of our code."""
    require(shutil.which(command), f"the command {command} is not installed")
    require(CODECS[codec].available(), f"the package of {codec} is not installed")
    staging = area(compression=codec, split_size=split)
    name = put(staging, "data", CONTENT)
    directory = staging.publish(manifest_of(staging))

    done = subprocess.run(
        ["bash", "-c", f"cat {name}* | {command} -dc"],
        cwd=directory,
        check=True,
        capture_output=True,
    )

    assert done.stdout == CONTENT
    assert len(names(directory)) == 2 if split == "0" else len(names(directory)) > 3


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, [0]),
        (1, [1]),
        (1000, [1000]),
        (1001, [1000, 1]),
        (2000, [1000, 1000]),
        (2001, [1000, 1000, 1]),
    ],
)
def test_an_artifact_is_split_only_where_it_is_too_large(size, sizes, area):
    """One that fits keeps its name; none has an empty last part."""
    staging = area(compression="none", split_size="1000")
    content = os.urandom(size)
    with staging.artifact("data") as out:
        out.write(content)

    count = len(sizes)
    expected = [f"data.part{n:05d}" for n in range(1, count + 1)] if count > 1 else ["data"]
    assert names(staging.directory / ".staging") == expected
    assert [artifact.size_bytes for artifact in out.artifacts] == sizes
    assert out.artifact == out.artifacts[0]
    parts = [Part("data", n, count) if count > 1 else None for n in range(1, count + 1)]
    assert [artifact.part for artifact in out.artifacts] == parts
    read = b"".join((staging.directory / ".staging" / name).read_bytes() for name in expected)
    assert hashlib.sha256(read).digest() == hashlib.sha256(content).digest()
    assert out.bytes_out == size


def test_a_failure_removes_all_parts(area):
    """Those that were complete already included."""
    staging = area(compression="none", split_size="100K")
    with pytest.raises(ZeroDivisionError), staging.artifact("data") as out:  # noqa: PT012
        out.write(bytes(3 * BUFFER_BYTES))
        1 / 0  # noqa: B018

    assert names(staging.directory / ".staging") == []


def test_discarding_any_part_discards_the_artifact(area):
    """By the name of a part or by that of the whole; the name is free again."""
    staging = area(compression="none", split_size="100K")
    for by in ("data", "data.part00001", "data.part00011"):
        put(staging, "data", bytes(BUFFER_BYTES))
        assert len(staging.artifacts) == 11
        staging.discard(by)
        assert staging.artifacts == ()
        assert names(staging.directory / ".staging") == []


def test_a_split_artifact_keeps_its_name_from_others(area):
    """Although no file has it any more."""
    staging = area(compression="none", split_size="1000")
    put(staging, "data", bytes(5000))

    with pytest.raises(InternalError, match="'data' exists already"):
        staging.artifact("data")


@pytest.mark.parametrize("name", ["data.part00001", "data.part99999"])
def test_the_names_of_parts_are_not_for_artifacts(name, area):
    """Else two artifacts could claim one file."""
    with pytest.raises(InternalError, match="parts of a split artifact"):
        area(compression="none").artifact(name)


def test_a_name_must_leave_room_for_the_suffix_of_its_parts(area):
    """Found before anything is written, not at the first split."""
    staging = area(split_size="1G")
    put(staging, "x" * (255 - len(".zst.part00001")), b"fits")

    with pytest.raises(InternalError, match=r"\.zst\.part99999'.*255 bytes.*shorter"):
        staging.artifact("x" * (256 - len(".zst.part00001")))


def test_more_parts_than_can_be_counted_are_refused(area, monkeypatch):
    """The message names the variable; nothing is left."""
    monkeypatch.setattr("baqup_agent.staging.series.MAX_PARTS", 20)
    staging = area(compression="none", split_size="1K")

    with pytest.raises(LimitExceeded, match=r"more than 20 parts.*BAQUP_ARTIFACT_SPLIT_SIZE"):
        put(staging, "data", bytes(21_000))

    assert names(staging.directory / ".staging") == []


def test_a_part_that_cannot_be_created_is_an_output_error(area):
    """Exit 73, out of the thread that writes; what was stored before is removed."""
    staging = area(compression="none", split_size="100K")
    in_the_way = staging.directory / ".staging" / "data.part00003"
    in_the_way.mkdir()

    with pytest.raises(OutputError, match=r"cannot create .*data\.part00003") as caught:
        put(staging, "data", bytes(2 * BUFFER_BYTES))

    assert caught.value.exit_code == 73
    assert names(staging.directory / ".staging") == ["data.part00003"]
    in_the_way.rmdir()


def test_a_part_that_is_there_already_is_not_replaced(area):
    """Whoever put it there: the artifact's first part must not take its place."""
    staging = area(compression="none", split_size="100K")
    precious = staging.directory / ".staging" / "data.part00001"
    precious.write_text("keep")

    with pytest.raises(OutputError, match=r"data\.part00001' exists already"):
        put(staging, "data", bytes(200_000))

    assert precious.read_text() == "keep"


def test_a_part_that_cannot_be_deleted_does_not_keep_the_others(area, monkeypatch):
    """All are tried; the first refusal is reported."""
    staging = area(compression="none", split_size="100K")
    put(staging, "data", bytes(350_000))
    real = os.unlink

    def refuse(name: str, **options: object) -> None:
        if name == "data.part00002":
            raise PermissionError(13, os.strerror(13))
        real(name, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(IOFailure, match=r"data\.part00002"):
        staging.discard("data")

    assert names(staging.directory / ".staging") == ["data.part00002"]


@pytest.mark.parametrize("codec", ["zstd", "none"])
def test_the_kernel_is_asked_to_write_early(codec, area, monkeypatch):
    """Every 8 MiB, so that the sync at the end is short; where it cannot be asked, all is well."""
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        "baqup_agent.staging.writeback._sync_file_range",
        lambda: lambda *arguments: asked.append(arguments[1:]),
    )
    staging = area(compression=codec)
    put(staging, "data", os.urandom(20 << 20))

    assert len(asked) == 2
    assert asked[0][0] == 0
    assert 8 << 20 <= asked[1][0] <= (8 << 20) + 4 * BUFFER_BYTES

"""One bit of an artifact flips, at every tenth of its length: nothing of it is ever restored."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from baqup_agent.errors import ConfigError, VerificationFailed
from baqup_agent.security.secret import Secret
from baqup_agent.staging.reader import open_artifact
from tests.faults.sweep_author import noise
from tests.faults.sweep_outcome import Outcome, ran
from tests.faults.sweep_verdict import judge
from tests.staging.forms import AES, AGE, KEYS

__all__ = ["ran"]

TENTHS = range(11)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(noise(300_000))
    return source


def flipped(published: Path, scene: Path, tenth: int) -> Path:
    """Copy a backup, with the lowest bit flipped of the byte at this tenth of its artifact."""
    copy = scene / f"flipped{tenth}" / published.name
    shutil.copytree(published, copy)
    (artifact,) = copy.glob("data.tar*")
    content = bytearray(artifact.read_bytes())
    content[min(len(content) * tenth // 10, len(content) - 1)] ^= 1
    artifact.write_bytes(content)
    return copy


@pytest.mark.parametrize("mode", ["first", "streamed"])
def test_a_flipped_bit_is_told_by_a_restore(
    mode: str, source: Path, tmp_path: Path, ran: Callable[..., Outcome], long: bool
) -> None:
    """Verified first, the target stays empty; streamed, what there is stays marked."""
    backup = ran(source_path=source)
    backup.require_success()
    for tenth in TENTHS if long else (0, 5, 10):
        copy = flipped(backup.directory, tmp_path, tenth)
        target = tmp_path / f"target{tenth}"
        target.mkdir()
        found = ran("restore", source_path=copy, target_path=target, target_verify=mode)

        found.require_failure(65, "VERIFICATION_FAILED", "data.tar.zst")
        left = {path.name for path in target.iterdir()}
        assert not left or (mode == "streamed" and ".baqup-incomplete" in left)


@pytest.mark.parametrize("mode", ["first", "streamed"])
@pytest.mark.parametrize("algorithm", [None, AES, AGE])
def test_a_flipped_bit_is_told_by_every_reader(
    algorithm: str | None, mode: str, source: Path, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """At each tenth, in each form; the untouched backup reads well."""
    key = None if algorithm is None else KEYS[algorithm]
    form = {"artifact_encrypt_algorithm": algorithm, "secret_artifact_key": key}
    backup = (
        ran(source_path=source, artifact_encrypt=True, **form) if key else ran(source_path=source)
    )
    backup.require_success()
    read(backup.directory, key, mode)
    for tenth in TENTHS:
        copy = flipped(backup.directory, tmp_path, tenth)

        assert judge(copy).problems
        with pytest.raises(VerificationFailed):
            read(copy, key, mode)


@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_encryption_tells_a_flipped_bit_that_its_manifest_hides(
    algorithm: str, source: Path, tmp_path: Path, ran: Callable[..., Outcome]
) -> None:
    """Whoever changes an artifact can change its checksum too; not what it was sealed with."""
    key = KEYS[algorithm]
    backup = ran(
        source_path=source, artifact_encrypt=True, artifact_encrypt_algorithm=algorithm,
        secret_artifact_key=key,
    )  # fmt: skip
    backup.require_success()
    for tenth in TENTHS:
        copy = flipped(backup.directory, tmp_path, tenth)
        forge(copy)

        assert judge(copy).problems == ()
        # In the header, damage cannot be told from another key.
        with pytest.raises((VerificationFailed, ConfigError)):
            read(copy, key, "first")


def forge(directory: Path) -> None:
    """Make the manifest fit the artifact."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    (artifact,) = manifest["artifacts"]
    content = (directory / artifact["filename"]).read_bytes()
    artifact["checksum"]["value"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(manifest))


def read(directory: Path, key: str | None, mode: str) -> None:
    """Read the artifact to its end."""
    assert mode in {"first", "streamed"}
    (artifact,) = directory.glob("data.tar*")
    secret = None if key is None else Secret(key)
    with open_artifact(directory, artifact.name, key=secret, verify=mode) as stream:  # type: ignore[arg-type]
        while stream.read(1 << 16):
            pass

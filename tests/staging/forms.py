"""Every form that an artifact can be stored in, written by the real staging area."""

from __future__ import annotations

import base64
import io
import json
import random
import tarfile
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret
from baqup_agent.staging.area import Staging
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.manifest import Manifest

from .conftest import CREATED_AT

AES, AGE = "aes-256-gcm", "chacha20-poly1305"

#: Test keys; they protect nothing.
IDENTITY = "AGE-SECRET-KEY-13UTXYKZXM52F7E29KJE5EMSMHZFHCKZ7DJTPSZ8GTMZ2N5QRFELQDWFYSN"
AES_KEY = base64.b64encode(bytes(range(32))).decode()
KEYS = {AES: AES_KEY, AGE: IDENTITY}

#: The smallest parts, as a setting.
SPLIT = "64K"


class Form(NamedTuple):
    """A way to store an artifact."""

    compression: str
    encryption: str | None = None
    split: bool = False

    @property
    def key(self) -> Secret | None:
        """The key of encrypted forms."""
        return Secret(KEYS[self.encryption]) if self.encryption else None

    def __str__(self) -> str:
        words = (self.compression, self.encryption, "split" if self.split else None)
        return "-".join(filter(None, words))


#: All of them.
FORMS = [
    Form(codec, encryption, split)
    for codec in CODECS
    for encryption in (None, AES, AGE)
    for split in (False, True)
]


def incompressible(size: int, seed: int = 1) -> bytes:
    """Return bytes that no codec makes smaller, always the same ones."""
    return random.Random(seed).randbytes(size)


def archive(count: int = 5, size: int = 30_000) -> bytes:
    """A tar archive of that many files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(count):
            entry = tarfile.TarInfo(f"file-{number}")
            entry.size = size
            tar.addfile(entry, io.BytesIO(incompressible(size, seed=number)))
    return target.getvalue()


def publish(root: Path, form: Form, content: bytes, name: str = "data", job_id: str = "") -> Path:
    """Publish one artifact of that form."""
    job_id = job_id or str(uuid4())
    settings = ArtifactSettings(
        compression=form.compression,
        compression_level=CODECS[form.compression].default_level,
        encrypt=form.encryption is not None,
        encryption=form.encryption or AES,
        key=form.key,
        key_id="monday",
        split_size=SPLIT if form.split else "0",
    )
    staging = Staging(root, job_id, settings, log=NullLog())
    try:
        staging.prepare()
        with staging.artifact(name) as out:
            out.write(content)
        manifest = Manifest(job_id, "agent-test", "snapshot", CREATED_AT, staging.artifacts)
        return Path(staging.publish(manifest))
    finally:
        staging.close()


def name_of(directory: Path) -> str:
    """The joined name of the one artifact that was published."""
    return Manifest.read(directory).artifacts[0].joined_name


def files_of(directory: Path) -> list[Path]:
    """Its files, in the order of their bytes."""
    return [directory / artifact.filename for artifact in Manifest.read(directory).artifacts]


def flip(directory: Path, at: int) -> None:
    """Flip one bit of the stored bytes, counted over all parts."""
    for path in files_of(directory):
        size = path.stat().st_size
        if at < size:
            content = bytearray(path.read_bytes())
            content[at] ^= 1 << at % 8
            path.write_bytes(content)
            return
        at -= size


def stored_size(directory: Path) -> int:
    """Bytes in all parts."""
    return sum(path.stat().st_size for path in files_of(directory))


def rewrite(directory: Path, change) -> None:
    """Change the manifest: ``change`` is given the list of artifacts, and alters it."""
    path = directory / "manifest.json"
    wire = json.loads(path.read_bytes())
    change(wire["artifacts"])
    path.write_text(json.dumps(wire))

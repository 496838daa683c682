"""What the contract's data files say: schemas, and what a published directory has to look like.

Everything here stands on ``spec/``, jsonschema and hashlib alone: the suite judges the SDK too,
and must not ask the SDK whether it is right.
"""

from __future__ import annotations

import hashlib
import json
import stat
from functools import cache
from pathlib import Path
from typing import Any

from baqup_agent.controller.spec import spec_dir

#: Bytes that a manifest, or an orphan status, may have: they list artifacts, not their content.
MAX_DOCUMENT_BYTES = 8 << 20

#: Names in a job's directory that are no artifacts (Contract §4).
_NO_ARTIFACTS = {"manifest.json", ".staging", ".baqup-status.json"}

_CHUNK = 1 << 20

#: Faults that are told of one document.
_MAX_FAULTS = 10


def faults_of(kind: str, instance: object) -> list[str]:
    """Return what is wrong with a document by its schema; empty if nothing is.

    Args:
        kind: ``info``, ``manifest``, ``status``, ``heartbeat``, ``progress``, ``event``,
            ``log``, ``error`` or ``validation``.
        instance: the parsed document.
    """
    faults = []
    for error in _validator(kind).iter_errors(instance):
        place = "/".join(str(part) for part in error.absolute_path) or "the document"
        faults.append(f"{kind}: {place}: {error.message[:300]}")
        if len(faults) == _MAX_FAULTS:
            break
    return faults


def schema_faults(schema: object) -> list[str]:
    """Return what is wrong with a JSON Schema as such."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    if not isinstance(schema, dict):
        return ["it is no JSON object"]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path) or "the schema"
        return [f"{place}: {error.message[:300]}"]
    return []


def output_faults(directory: Path, job_id: str) -> list[str]:
    """Return all that is wrong with a published directory (Contract §4); empty if it is valid."""
    if not _is_plain_file(directory / "manifest.json"):
        return ["manifest.json is not there as a regular file"]
    try:
        manifest = read_document(directory / "manifest.json")
    except ValueError as error:
        return [str(error)]
    if faults := faults_of("manifest", manifest):
        return faults
    if str(manifest["job_id"]).lower() != job_id.lower():
        faults.append(f"the manifest names the job {manifest['job_id']}, the job is {job_id}")
    names = [artifact["filename"] for artifact in manifest["artifacts"]]
    faults += [f"{name!r} is listed twice" for name in sorted(set(names)) if names.count(name) > 1]
    for artifact in manifest["artifacts"]:
        faults += _artifact_faults(directory, artifact)
    faults += [
        f"{path.name!r} is in the directory, and not in the manifest"
        for path in sorted(directory.iterdir())
        if path.name not in _NO_ARTIFACTS and path.name not in names
    ]
    return faults


def read_document(path: Path) -> Any:
    """Read a JSON document that an agent wrote.

    Raises:
        ValueError: it cannot be read, is too large, a link, or no JSON.
    """
    try:
        _check_plain(path)
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from error
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from error


def _check_plain(path: Path) -> None:
    """Raise a ValueError unless a path is a regular file of a size that is worth reading."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is no regular file")
    if status.st_size > MAX_DOCUMENT_BYTES:
        raise ValueError(f"{path.name} has {status.st_size} bytes, over {MAX_DOCUMENT_BYTES}")


def _artifact_faults(directory: Path, artifact: dict[str, Any]) -> list[str]:
    name = artifact["filename"]
    path = directory / name
    if name in (".", "..") or "/" in name or not _is_plain_file(path):
        return [f"{name!r} is listed, and not there as a regular file"]
    faults = []
    size = path.stat().st_size
    if size != artifact["size_bytes"]:
        faults.append(f"{name!r} has {size} bytes, the manifest says {artifact['size_bytes']}")
    algorithm, said = artifact["checksum"]["algorithm"], artifact["checksum"]["value"]
    try:
        found = _digest(path, algorithm)
    except ImportError:
        return [*faults, f"{name!r}: {algorithm} cannot be checked here; install {algorithm}"]
    if found != said:
        faults.append(f"{name!r}: its {algorithm} is {found}, the manifest says {said}")
    return faults


def _digest(path: Path, algorithm: str) -> str:
    if algorithm == "blake3":
        from blake3 import blake3

        digest: Any = blake3()
    else:
        digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return str(digest.hexdigest())


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


@cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    folder = spec_dir() / "schemas"
    schemas = {
        path.name.partition(".")[0]: json.loads(path.read_text("utf-8"))
        for path in folder.glob("*.schema.json")
    }
    registry: Any = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()]
    )
    return Draft202012Validator(schemas[kind], registry=registry)

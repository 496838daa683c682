"""Labels in files: what ``docker inspect`` prints, and Dockerfiles, which can be written anew."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from baqup_agent.errors import ConfigError, OutputError, UsageError
from baqup_agent.packaging.dockerfile import instructions_of, labels_in
from baqup_agent.runtime.labels import PREFIX, as_dockerfile


def labels_of_text(text: str, *, name: str) -> dict[str, str]:
    """Return the labels in a text: JSON as ``docker inspect`` prints it, or a Dockerfile.

    Args:
        text: the whole text; the JSON is an object of texts, or null for no labels at all.
        name: what errors call it.

    Raises:
        ConfigError: it is neither.
    """
    if text.strip() == "null":
        return {}
    if not text.lstrip().startswith(("{", "[")):
        return labels_in(text, name=name)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is no JSON; {_WANTED}") from error
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ConfigError(f"{name} is no object of texts; {_WANTED}")
    return found


_WANTED = "give what docker inspect --format '{{json .Config.Labels}}' prints, or a Dockerfile"


def write_labels(path: Path, labels: Mapping[str, str]) -> None:
    """Put labels into a Dockerfile, in the place of the agent's labels that are there.

    Only instructions that hold nothing but labels of an agent are replaced, and only those of the
    last stage; without any, the new ones are put before its ``ENTRYPOINT``, or at the end.

    Raises:
        UsageError: there is no such file, or it is no Dockerfile.
        OutputError: it cannot be written; it is as it was.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{str(path)!r} cannot be read: {reason}; give a Dockerfile") from error
    labels_in(text, name=str(path))  # refuses what is no Dockerfile
    _replace(path, _with_labels(text, as_dockerfile(labels)))


def _with_labels(text: str, lines: str) -> str:
    instructions = list(instructions_of(text))
    begin = max(n for n, each in enumerate(instructions) if each.keyword == "FROM")
    stage = instructions[begin:]
    old = [each for each in stage if each.keyword == "LABEL" and _is_agents(each.rest)]
    places = [each.first for each in old] or [
        each.first for each in stage if each.keyword == "ENTRYPOINT"
    ]
    kept = text.split("\n")
    place = places[0] - 1 if places else len(text.rstrip("\n").split("\n"))
    gone = {number for each in old for number in range(each.first, each.last + 1)}
    before = [line for number, line in enumerate(kept[:place], 1) if number not in gone]
    after = [line for number, line in enumerate(kept[place:], place + 1) if number not in gone]
    return "\n".join([*before, lines, *after]) if after else "\n".join([*before, lines, ""])


def _is_agents(rest: str) -> bool:
    names = labels_in(f"FROM scratch\nLABEL {rest}", name="LABEL")
    return bool(names) and all(name.startswith(PREFIX) for name in names)


def _replace(path: Path, text: str) -> None:
    """Write the file anew, whole or not at all, with the rights that it has."""
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
            file.write(text.encode())
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
        Path(file.name).replace(path)
    except OSError as error:
        raise OutputError(
            f"{str(path)!r} cannot be written: {error.strerror}; check the folder's rights"
        ) from error

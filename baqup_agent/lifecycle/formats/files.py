"""Reads lifecycles from files and texts."""

from __future__ import annotations

import stat
from pathlib import Path

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.formats import json_text, yaml_text
from baqup_agent.lifecycle.formats.limits import MAX_BYTES
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError, Problem
from baqup_agent.lifecycle.formats.stored import from_json
from baqup_agent.lifecycle.formats.texts import Parser, malformed

_FORMATS: dict[str, Parser] = {"json": json_text.parse, "yaml": yaml_text.parse}

#: The format of a file by the end of its name.
_SUFFIXES = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


def load_file(path: str | Path, *, resolve: bool = False) -> Lifecycle:
    """Build the lifecycle that a file tells.

    Args:
        path: a ``.json``, ``.yaml`` or ``.yml`` file, in UTF-8.
        resolve: import guards and effects at once; by default no code of the file's choosing runs.

    Raises:
        LifecycleFormatError: the file cannot be read, or what it tells cannot be built; the file,
            the line and the column, and the member at fault are named.
    """
    path = Path(path)
    source = str(path)
    try:
        word = _SUFFIXES.get(path.suffix.lower())
        if word is None:
            raise malformed(f"expected a name that ends in {', '.join(_SUFFIXES)}")
        return loads(_read(path), word, resolve=resolve)
    except LifecycleFormatError as error:
        raise _of_file(error, source) from error


def loads(text: str, format: str, *, resolve: bool = False) -> Lifecycle:  # noqa: A002  its name
    """Build the lifecycle that a text tells.

    Args:
        text: the stored form.
        format: ``json`` or ``yaml``.
        resolve: import guards and effects at once.

    Raises:
        LifecycleFormatError: the text is malformed, or what it tells cannot be built.
        ValueError: there is no such format.
    """
    if format not in _FORMATS:
        raise ValueError(f"{format!r} is no format to load; give one of {', '.join(_FORMATS)}")
    read = _FORMATS[format](text)
    try:
        return from_json(read.data, resolve=resolve)
    except LifecycleFormatError as error:
        raise LifecycleFormatError(error.faults, locate=read.locate) from error


def _of_file(error: LifecycleFormatError, source: str) -> LifecycleFormatError:
    # The places were found already; they are part of the lines now.
    faults = [Problem((), line) for line in error.problems]
    return LifecycleFormatError(faults, source=source)


def _read(path: Path) -> str:
    try:
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise malformed("not a file; name a file that was stored")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise malformed(f"cannot be read: {error.strerror}; check the name") from error
    except ValueError as error:  # a NUL in the name
        if isinstance(error, LifecycleFormatError):
            raise
        raise malformed(f"cannot be read: {error}; check the name") from error
    if len(content) > MAX_BYTES:
        raise malformed(f"longer than {MAX_BYTES} bytes, the most that is read; declare less")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(f"byte {error.start + 1} is not UTF-8; store it as UTF-8") from error

"""Files written to a folder all together: either every one is there, or the folder is as before.

They are written to a hidden folder on the same file system first, so that a full disk or a missing
right shows before anything is in its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from baqup_agent.errors import OutputError, UsageError


def check_target(target: Path, *, force: bool) -> None:
    """Refuse a target that is in use.

    Raises:
        UsageError: it is no folder, or it holds something and ``force`` is not given.
        OutputError: it cannot be looked into.
    """
    try:
        if not os.path.lexists(target):
            return
        if not target.is_dir():
            raise UsageError(f"{str(target)!r} is no folder; give --directory DIR")
        held = sorted(entry.name for entry in target.iterdir())
    except OSError as error:
        raise _unwritable(target, error) from error
    if held and not force:
        shown = ", ".join(held[:3]) + (", …" if len(held) > len(held[:3]) else "")
        raise UsageError(
            f"{str(target)!r} is not empty ({shown}); give an empty folder, or --force to "
            "overwrite the files of the same names"
        )


def write_all(texts: Mapping[str, str], target: Path) -> None:
    """Write the texts below ``target``, which is made if need be; existing files are replaced.

    Args:
        texts: each file's text by its path in the target.
        target: the folder.

    Raises:
        OutputError: something cannot be written; nothing has changed.
    """
    try:
        with contextlib.ExitStack() as folders:
            _make_folder(target, folders)
            with _stage(target) as stage, contextlib.ExitStack() as undo:
                _write(texts, stage / "new")
                for name in texts:
                    _make_folder((target / name).parent, undo)
                    _put(stage, name, target, undo)
                undo.pop_all()
            folders.pop_all()
    except OSError as error:
        raise _unwritable(target, error) from error


def _write(texts: Mapping[str, str], folder: Path) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


@contextlib.contextmanager
def _stage(target: Path) -> Iterator[Path]:
    stage = Path(tempfile.mkdtemp(prefix=".baqup-new-", dir=target))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        undo.callback(_quietly(path.rmdir))


def _put(stage: Path, name: str, target: Path, undo: contextlib.ExitStack) -> None:
    place, kept = target / name, stage / "old" / name
    if place.is_dir() and not place.is_symlink():  # what it holds is not ours to throw away
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
    if os.path.lexists(place):
        kept.parent.mkdir(parents=True, exist_ok=True)
        place.rename(kept)
        undo.callback(_quietly(lambda: kept.rename(place)))
    (stage / "new" / name).rename(place)
    undo.callback(_quietly(place.unlink))


def _quietly(action: Callable[[], object]) -> Callable[[], None]:
    """Undoing goes on whatever one step of it says; the first error is the one to tell."""

    def act() -> None:
        with contextlib.suppress(OSError):
            action()

    return act


def _unwritable(target: Path, error: OSError) -> OutputError:
    place = error.filename or str(target)
    return OutputError(
        f"{place!r} cannot be written: {error.strerror}; nothing was changed, give --directory DIR "
        "where you may write"
    )

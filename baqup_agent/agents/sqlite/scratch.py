"""A private directory for the copy of one database; it shares the job's fate.

SQLite writes to files only, so a copy lies in the job's ``.staging`` until it was checked. What a
killed job leaves there is removed by the next attempt, with all else that is not published.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baqup_agent.contract import STAGING_NAME
from baqup_agent.errors import OutputError

if TYPE_CHECKING:
    from baqup_agent import Job


@contextmanager
def scratch_file(job: Job[Any]) -> Iterator[Path]:
    """Give the path of a file that does not exist yet; it is removed with the block.

    Raises:
        OutputError: the staging area takes no directory.
    """
    staging = job.staging.directory / STAGING_NAME
    try:
        directory = tempfile.mkdtemp(prefix="scratch-", dir=staging)
    except OSError as error:
        raise OutputError(
            f"{os.fspath(staging)!r} takes no scratch directory: {error.strerror}"
        ) from error
    try:
        yield Path(directory) / "copy"
    finally:
        shutil.rmtree(directory, ignore_errors=True)

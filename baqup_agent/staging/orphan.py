"""The orphan status: the report of a job whose bus was out of reach (Contract §3)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baqup_agent.contract import ORPHAN_STATUS_NAME
from baqup_agent.errors import IOFailure
from baqup_agent.staging.directory import ORPHAN_SCRATCH_NAME, enter_job_directory
from baqup_agent.staging.durable import replace_file
from baqup_agent.staging.failures import translated
from baqup_agent.staging.manifest import encode


def write_orphan_status(root: Path, job_id: str, message: Mapping[str, Any]) -> Path:
    """Write the status message into the job's directory, in one step and durably.

    Works whatever became of the job's staging, also where it was never prepared.

    Args:
        root: the root of staging.
        job_id: the job's UUID.
        message: the status message.

    Returns:
        The file.

    Raises:
        ConfigError: the job id is no UUID.
        OutputError: the job's directory cannot be made or opened.
        IOFailure: the file cannot be written.
        InternalError: the message is no JSON.
    """
    content = encode(message, "the status")
    path = root / job_id / ORPHAN_STATUS_NAME
    fd = enter_job_directory(root, job_id)
    try:
        with translated(IOFailure, "write", path):
            replace_file(ORPHAN_STATUS_NAME, ORPHAN_SCRATCH_NAME, content, fd)
    finally:
        os.close(fd)
    return path

"""The job's id, and why it can name a directory (Contract §2, §4)."""

from __future__ import annotations

import re

from baqup_agent.errors import ConfigError

#: 8-4-4-4-12 hexadecimal digits and nothing else: no separator, no dot, hence never a path.
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_job_id(text: str) -> bool:
    """Tell whether ``text`` is a UUID in the form of five groups joined by hyphens."""
    return _UUID.fullmatch(text) is not None


def check_job_id(text: str) -> str:
    """Return ``text``, letter for letter, once it is known to be a UUID.

    The spelling is kept, because the controller looks for the directory and the keys under the
    very id that it gave out.

    Raises:
        ConfigError: it is anything else, in particular a path.
    """
    if is_job_id(text):
        return text
    raise ConfigError(
        f"BAQUP_JOB_ID is {text!r}; it must be a UUID of five hyphenated groups, "
        "for instance 3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4"
    )

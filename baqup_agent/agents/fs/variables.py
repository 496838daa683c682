"""What agent-fs reads beyond the contract's own variables, as rows of its table.

Rows and no class of settings: those need attrs, and ``--info`` answers in half the time without.
"""

from __future__ import annotations

from baqup_agent import Variable
from baqup_agent.config import Kind

VARIABLES = (
    Variable(
        "BAQUP_SOURCE_ONE_FILE_SYSTEM",
        Kind.BOOL,
        "leave what is mounted inside the source out, its mount points as empty directories",
        default=False,
        sdk=True,
    ),
    Variable(
        "BAQUP_SOURCE_XATTRS",
        Kind.BOOL,
        "keep extended attributes and access control lists",
        default=True,
        sdk=True,
    ),
    Variable(
        "BAQUP_SOURCE_UNREADABLE",
        Kind.ENUM,
        "what a refused file makes of the job: a warning, a partial failure or a failure",
        "warn",
        choices=("warn", "partial", "fail"),
        sdk=True,
    ),
    Variable(
        "BAQUP_SOURCE_ANOMALY",
        Kind.ENUM,
        "what an unusual source makes of the job: auto fails where hardly any file has content and "
        "warns of the rest",
        "auto",
        choices=("auto", "warn", "fail", "ignore"),
        sdk=True,
    ),
)

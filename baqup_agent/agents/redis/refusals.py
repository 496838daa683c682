"""What a server answers instead of obeying, given its place in the error tree (Contract §5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from baqup_agent.errors import BaqupError, ConfigError, SourceUnavailable


class Rule(NamedTuple):
    """How one kind of answer is taken.

    Attributes:
        words: a regular expression that its beginning must match.
        error: the class of the error.
        code: its code.
        remedy: what to do.
    """

    words: str
    error: type[BaqupError]
    code: str
    remedy: str


#: The first rule that matches holds.
RULES: Sequence[Rule] = (
    Rule(
        r"NOAUTH|WRONGPASS|DENIED|ERR (?:invalid password|AUTH|Client sent AUTH|"
        r"operation not permitted)",
        ConfigError,
        "AUTHENTICATION_FAILED",
        "check BAQUP_SECRET_DB_USER and BAQUP_SECRET_DB_PASSWORD",
    ),
    Rule(
        r"NOPERM",
        ConfigError,
        "PERMISSION_DENIED",
        "allow the user +psync +sync +replconf +ping +info",
    ),
    Rule(
        r"LOADING|MASTERDOWN|NOMASTERLINK|BUSY|TRYAGAIN|ERR max number of clients",
        SourceUnavailable,
        "SOURCE_BUSY",
        "try again when it is ready",
    ),
    Rule(
        r"ERR BGSAVE|ERR Unable to perform background|MISCONF|ERR Can't",
        SourceUnavailable,
        "BGSAVE_FAILED",
        "see its log: most often it lacks memory to fork, or room on its disk",
    ),
)


def refusal(address: str, said: str) -> BaqupError:
    """Return the error for what a server said.

    Args:
        address: which server.
        said: its answer, without the sign that makes it an error.
    """
    for rule in RULES:
        if re.match(rule.words, said):
            error = rule.error(f"the server {address} says {said!r}; {rule.remedy}")
            error.code = rule.code
            return error
    error = SourceUnavailable(f"the server {address} says {said!r}; see its log")
    error.code = "SOURCE_REFUSED"
    return error

"""What the programs of PostgreSQL complain of, given its place in the error tree (Contract §5).

Libpq and the programs speak English, because they run in the locale C; the server may speak the
language of its administrator. So rules on what libpq says come first, and a connection that the
server refused for a reason that no rule knows is taken for a matter of configuration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from baqup_agent.errors import (
    BaqupError,
    CommandFailed,
    ConfigError,
    DataError,
    IOFailure,
    OutputError,
    SourceUnavailable,
)


class Rule(NamedTuple):
    """How one kind of complaint is taken.

    Attributes:
        words: a regular expression that is searched for in what the program said.
        error: the class of the error.
        code: its code.
        remedy: what to do.
    """

    words: str
    error: type[BaqupError]
    code: str
    remedy: str


_UP = "check that the server is up and can be reached from here"
_FREE = "wait for sessions to end, or raise the server's max_connections"
_LOGIN = "check BAQUP_SECRET_DB_USER, BAQUP_SECRET_DB_PASSWORD and the server's pg_hba.conf"

#: The first rule that matches holds.
RULES: Sequence[Rule] = (
    Rule(
        r"starting up|shutting down|in recovery mode|not yet accepting|terminating connection",
        SourceUnavailable,
        "SOURCE_UNAVAILABLE",
        "try again when the server is up",
    ),
    Rule(
        r"too many (?:clients|connections)|connection slots are reserved|SSL connection has been cl"
        r"osed unexpectedly",
        SourceUnavailable,
        "SOURCE_UNAVAILABLE",
        _FREE,
    ),
    Rule(
        r"Connection refused|timeout expired|timed out|No route to host|Network is unreachable"
        r"|could not translate host name|closed the connection unexpectedly|Connection reset"
        r"|failed: No such file or directory|could not (?:receive|send) (?:data|startup)"
        r"|lost synchronization|no connection to the server|connection to server was lost",
        SourceUnavailable,
        "SOURCE_UNAVAILABLE",
        _UP,
    ),
    Rule(
        r"server does not support SSL|certificate|SSL error|sslmode",
        ConfigError,
        "TLS_REFUSED",
        "set BAQUP_SOURCE_SSLMODE or BAQUP_TARGET_SSLMODE, and the certificates, to what the "
        "server offers",
    ),
    Rule(
        r"password authentication failed|no password supplied|no pg_hba\.conf entry|peer authentic"
        r"ation failed|role \"[^\n]*\" does not exist|is not permitted to log in|authentication",
        ConfigError,
        "AUTHENTICATION_FAILED",
        _LOGIN,
    ),
    Rule(
        r"server version mismatch|unsupported version \(|unrecognized configuration parameter",
        ConfigError,
        "VERSION_MISMATCH",
        "use programs of the server's own version; BAQUP_AGENT_POSTGRES_BIN names their directory",
    ),
    Rule(
        r"(?:FATAL|connection to server)[^\n]*database \"[^\n]*\" does not exist",
        ConfigError,
        "DATABASE_UNKNOWN",
        "correct the name of the database",
    ),
    Rule(
        r"due to (?:lock|statement) timeout|could not obtain lock|deadlock detected",
        SourceUnavailable,
        "LOCK_TIMEOUT",
        "end the session that holds the lock, or raise BAQUP_SOURCE_LOCK_TIMEOUT",
    ),
    Rule(
        r"being accessed by other users",
        OutputError,
        "DATABASE_IN_USE",
        "end the other sessions in that database first",
    ),
    Rule(
        r"permission denied|must be (?:owner|superuser|member)|row-level security",
        ConfigError,
        "PERMISSION_DENIED",
        "grant the user of BAQUP_SECRET_DB_USER what it lacks, for instance pg_read_all_data",
    ),
    Rule(
        r"No space left on device|could not extend file",
        IOFailure,
        "SERVER_DISK_FULL",
        "free space on the server's disk",
    ),
    Rule(
        r"invalid page|missing chunk number|could not read block|compressed data is corrupt"
        r"|cache lookup failed|could not open file|unexpected data beyond EOF",
        DataError,
        "SOURCE_CORRUPT",
        "check the database, for instance with pg_amcheck, and the server's log",
    ),
    Rule(
        r"does not appear to be a valid archive|unexpected end of file|did not find magic",
        DataError,
        "DATA_INVALID",
        "the artifact is no dump of pg_dump; name a backup of this agent",
    ),
    Rule(
        r"connection to server [^\n]* failed|could not connect to",
        ConfigError,
        "CONNECTION_REFUSED",
        _LOGIN,
    ),
)


def refusal(program: str, returncode: int, said: str) -> BaqupError:
    """Return the error for a program that failed.

    Args:
        program: its name.
        returncode: its exit code; negative for the signal that killed it.
        said: what it wrote to stderr, cleaned of secrets.
    """
    reason = _reason(said) or f"exit code {returncode}, without a word on stderr"
    for rule in RULES:
        if re.search(rule.words, said):
            return coded(rule.error, f"{program}: {reason}; {rule.remedy}", rule.code)
    return CommandFailed(f"{program}: {reason}; see the server's log for more")


def coded(kind: type[BaqupError], message: str, code: str) -> BaqupError:
    """Make an error of a kind with a more special code than its own."""
    error = kind(message)
    error.code = code
    return error


def _reason(said: str) -> str:
    """Return the line that tells most: the first error that is one, else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(?:error|FATAL|ERROR|PANIC):", line)]
    line = telling[0] if telling else lines[-1] if lines else ""
    return re.sub(r"^(?:\S*/)?(?:psql|pg_dump|pg_dumpall|pg_restore)(?::\S+)?: ", "", line)

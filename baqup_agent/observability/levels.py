"""The contract's levels on the scales of loguru and of the standard library (Contract §6)."""

from __future__ import annotations

from baqup_agent.contract import LogLevel

#: The name of each level in loguru.
LOGURU = {
    LogLevel.TRACE: "TRACE",
    LogLevel.DEBUG: "DEBUG",
    LogLevel.INFO: "INFO",
    LogLevel.WARN: "WARNING",
    LogLevel.ERROR: "ERROR",
    LogLevel.FATAL: "CRITICAL",
}

#: The number of each level in the standard library, which is also the one in loguru.
STANDARD = {
    LogLevel.TRACE: 5,
    LogLevel.DEBUG: 10,
    LogLevel.INFO: 20,
    LogLevel.WARN: 30,
    LogLevel.ERROR: 40,
    LogLevel.FATAL: 50,
}


def level_of(number: int) -> LogLevel:
    """Return the level for any number of the two scales: the highest that it reaches."""
    for level in reversed(LogLevel):
        if number >= STANDARD[level]:
            return level
    return LogLevel.TRACE

"""The contract's data files, and what they say about a code.

The files are the contract itself, written independently of this code; the wheel carries them.
"""

from __future__ import annotations

import json
import signal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from baqup_agent.errors import InternalError, UsageError

#: What a shell adds to the number of the signal that ended a process.
_SIGNAL_BASE = 128

#: Codes that a shell, a runtime or the interpreter makes by itself (Contract §5).
_SHELL_CODES = {
    2: "A shell or a command line parser ended with it: the agent most likely never started.",
    126: "The shell found the command, but could not execute it.",
    127: "The shell found no such command.",
}

_NO_AGENT = "Counts the job as lost: no agent of the contract ends with this code by itself."


@frozen
class Explanation:
    """What a code means.

    Attributes:
        code: the number or the word.
        kind: ``exit code``, ``error code`` or ``event code``.
        name: an exit code's name; for others the same as ``code``.
        meaning: a sentence.
        retriable: ``yes``, ``no``, ``maybe``, ``configurable``; None where it has no sense.
        controller: what a controller does with it, a sentence; may be empty.
        details: further facts as pairs of a word and a text.
    """

    code: str
    kind: str
    name: str
    meaning: str
    retriable: str | None = None
    controller: str = ""
    details: tuple[tuple[str, str], ...] = ()


def spec_dir() -> Path:
    """Return the folder of the contract's data: the installed one, else the checkout's.

    Raises:
        InternalError: there is neither.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "spec", package.parent / "spec"):
        if (folder / "exit_codes.json").is_file():
            return folder
    raise InternalError("the contract's data files are missing; reinstall baqup-agent")


@cache
def _load(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((spec_dir() / name).read_text("utf-8"))
    return entries


def exit_codes() -> list[Explanation]:
    """Return the contract's exit codes, ascending."""
    return [_exit_code(entry) for entry in _load("exit_codes.json")]


def error_codes() -> list[Explanation]:
    """Return the error codes, by the exit code they lead to."""
    return [
        _error_code(error, entry)
        for entry in _load("exit_codes.json")
        for error in entry["error_codes"]
    ]


def event_codes() -> list[Explanation]:
    """Return the event codes."""
    return [
        Explanation(
            entry["code"],
            "event code",
            entry["code"],
            entry["meaning"],
            details=(("severity", entry["severity"]),),
        )
        for entry in _load("event_codes.json")
    ]


def explain(text: str) -> list[Explanation]:
    """Return what is known of a number or a word; a word can be an error code and an event code.

    Raises:
        UsageError: it is no code of the contract; the nearest ones are offered.
    """
    word = text.strip().upper()
    known = [*exit_codes(), *error_codes(), *event_codes()]
    found = [entry for entry in known if word in (entry.code, entry.name)]
    if not found and word.isascii() and word.isdecimal():
        found = _outside(int(word))
    if not found:
        raise UsageError(_unknown(text, known))
    return found


def _exit_code(entry: dict[str, Any]) -> Explanation:
    details = [("category", entry["category"])] if entry["category"] else []
    details += [(error["code"], error["meaning"]) for error in entry["error_codes"]]
    return Explanation(
        str(entry["code"]),
        "exit code",
        entry["name"],
        entry["meaning"],
        entry["retriable"],
        entry["controller"],
        tuple(details),
    )


def _error_code(error: dict[str, Any], entry: dict[str, Any]) -> Explanation:
    return Explanation(
        error["code"],
        "error code",
        error["code"],
        error["meaning"],
        "yes" if error["retriable"] else "no",
        entry["controller"],
        (("category", error["category"]), ("exit code", f"{entry['code']} {entry['name']}")),
    )


def _outside(code: int) -> list[Explanation]:
    """Explain a code that is none of the contract's, but that a controller may meet."""
    if code in _SHELL_CODES:
        return [Explanation(str(code), "exit code", "", _SHELL_CODES[code], None, _NO_AGENT)]
    try:
        name = signal.Signals(code - _SIGNAL_BASE).name
    except ValueError:
        return []
    meaning = f"{name} (signal {code - _SIGNAL_BASE}) ended the process."
    return [Explanation(str(code), "exit code", name, meaning, None, _NO_AGENT)]


def _unknown(text: str, known: list[Explanation]) -> str:
    words = sorted({entry.name for entry in known})
    numbers = [entry.code for entry in exit_codes()]
    if text.strip().lstrip("+-").isdecimal():
        return f"no exit code {text!r} in the contract; there are {', '.join(numbers)}"
    close = get_close_matches(text.strip().upper(), words, n=2)
    if close:
        return f"no code {text!r}; did you mean {' or '.join(close)}?"
    return f"no code {text!r}; without an argument, explain lists all codes"

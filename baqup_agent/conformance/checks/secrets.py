"""Rules 43 and 44: the values of secrets are nowhere to be found."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from signal import SIGTERM
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from baqup_agent.conformance.check import check
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.seen import Place
from baqup_agent.conformance.strace import traced
from baqup_agent.conformance.verdicts import NotApplicable, Violation, require

#: The variable that holds the bus's own password.
_BUS_PASSWORD = "BAQUP_SECRET_BUS_PASSWORD"  # noqa: S105  a name

#: Bytes of one file that are searched.
_MAX_BYTES = 8 << 20

#: Seconds between two looks at the command lines of an agent's children, without strace.
_LOOK_S = 0.05

#: What a child's trace and what else lies in a run's root is called.
_TRACE = "commands"

#: Fixtures of agents that fail while they hold secrets.
_FAILING = ("leak", "crash")

#: Where a value was found, and the text in which.
_Found = tuple[str, str]


@check(
    "secrets/43/canaries",
    rule="The value of a secret is in no output, message, file or command line: plain, in "
    "base64, URL-quoted or JSON-escaped.",
    source="Contract §2, §7",
    how="Each secret holds a canary in a good job, in failing ones, in an aborted one and without "
    "a bus; stdout, stderr, the bus, the buffer, staging without its artifacts, and the command "
    "lines of children are searched for it.",
    remedy="Keep secrets in a type that does not print; hand them to children by environment or "
    "pipe; search what leaves the process for them, in all their forms.",
    limit_s=240.0,
)
def _canaries(lab: Lab) -> None:
    values = {name: _canary(lab) for name in lab.agent.secrets()}
    if not values:
        raise NotApplicable("no secret is known; name some in conform.toml: [secrets] names")
    forms = {name: _forms(value) for name, value in values.items()}
    for what, run in _scenes(lab, values):
        for where, text in _places(run):
            for name, known in forms.items():
                for form, needle in known.items():
                    found = f"{what}, {where} holds the value of {name}, {form}"
                    require(needle not in text, found)
        run.close()


@check(
    "secrets/44/overlapping",
    rule="Of two secrets of which one is part of the other, no rest of the longer one is left.",
    source="Contract §7",
    how="One secret's value begins with another's; in good and failing jobs everything is "
    "searched for the longer one's end.",
    remedy="Replace the longest secret first.",
    limit_s=180.0,
)
def _overlapping(lab: Lab) -> None:
    names = lab.agent.secrets()
    if len(names) < 2:  # noqa: PLR2004  two overlap
        raise NotApplicable("it has fewer than two secrets")
    tails = {}
    values = {names[0]: _word(lab)}
    for before, name in pairwise(names):
        tails[name] = _word(lab)
        values[name] = values[before] + tails[name]
    for what, run in _scenes(lab, values, few=True):
        for where, text in _places(run):
            for name, tail in tails.items():
                require(tail not in text, f"{what}, {where} holds the end of {name}'s value")
        run.close()


def _word(lab: Lab) -> str:
    return f"{lab.random.getrandbits(72):018x}"


def _canary(lab: Lab) -> str:
    """Return a value that looks different in each of its forms."""
    return f'c{_word(lab)}"é/+&={lab.random.getrandbits(32):08x}'


def _forms(value: str) -> dict[str, str]:
    """Return what to search for, by the form's name."""
    whole = len(value.encode()) // 3 * 4  # characters of base64 that nothing behind it changes
    return {
        "plain": value,
        "in base64": base64.b64encode(value.encode()).decode()[:whole],
        "in base64 for URLs": base64.urlsafe_b64encode(value.encode()).decode()[:whole],
        "URL-quoted": quote(value, safe=""),
        "URL-quoted as a form's": quote_plus(value, safe="/"),
        "JSON-escaped": json.dumps(value)[1:-1],
        "JSON-escaped with its letters": json.dumps(value, ensure_ascii=False)[1:-1],
    }


def _scenes(lab: Lab, values: Mapping[str, str], *, few: bool = False) -> Iterator[tuple[str, Run]]:
    """Yield runs that have ended, and what was done to each."""
    yield "in a good job", _good(lab, values)
    if _BUS_PASSWORD in values and not few:
        yield "with a password that the bus refuses", _ended(lab.run(env=values))
    values = {name: value for name, value in values.items() if name != _BUS_PASSWORD}
    if "BAQUP_SOURCE_PATH" in lab.agent.variables() or not lab.agent.variables():
        nowhere = {**values, "BAQUP_SOURCE_PATH": "/nowhere/at/all"}
        yield "without a source", _ended(lab.run(env=nowhere))
    for name in _FAILING:
        if lab.has_fixture(name):
            yield f"in the failing fixture {name}", _ended(lab.run(env=values, fixture=name))
    if few:
        return
    yield "without a bus", _ended(lab.run(env=values, bus="absent"))
    if lab.has_fixture("slow"):
        run = lab.run(env=values, fixture="slow")
        with contextlib.suppress(Violation):  # a secret may be refused before
            run.wait_for(state="running")
        run.signal(SIGTERM)
        yield "in an aborted job", _ended(run)


def _ended(run: Run) -> Run:
    run.exit_code()
    return run


def _good(lab: Lab, values: Mapping[str, str]) -> Run:
    """Run a job that all values are good for, or as many as can be.

    A secret may have a form of its own: then it is left out, and searched for in the other
    scenes, which are about failing jobs.
    """
    run = _observed(lab, values)
    if run.exit_code() == 0 or len(values) == 1:
        return run
    good = {
        name: value
        for name, value in values.items()
        if _observed(lab, {name: value}).exit_code() == 0
    }
    return _observed(lab, good)


def _observed(lab: Lab, values: Mapping[str, str]) -> Run:
    """Carry a job out, and keep the command lines of its children in the run's root."""
    options: dict[str, Any] = {"env": dict(values)}
    if _BUS_PASSWORD in values:  # a server whose user takes any password
        server = lab.server()
        port = urlsplit(server.url).port
        options["server"] = server
        options["env"]["BAQUP_BUS_URL"] = f"redis://default@127.0.0.1:{port}/0"
    try:
        run = lab.run(**options, below=_traced_commands)
    except NotApplicable:
        run = lab.run(**options)
        _poll_commands(run)
    run.exit_code()
    return run


def _traced_commands(place: Place) -> tuple[str, ...]:
    return traced(place.root / _TRACE, ("execve", "execveat"), "-s", "65536")


def _poll_commands(run: Run) -> None:
    seen: set[str] = set()
    while not run.ended:
        seen |= {one.command for one in run.survivors()}
        run.pause(_LOOK_S)
    (run.place.root / _TRACE).write_text("\n".join(seen))


def _places(run: Run) -> Iterator[_Found]:
    """Yield all that a run said and left, and where."""
    yield "stdout", run.stdout
    yield "stderr", run.stderr
    for message in run.messages():
        yield f"a message of type {message.type}", "\n".join(_texts(message.body))
    for name in run.written():
        path = run.place.root / name
        if path.is_file() and not path.is_symlink() and not _is_artifact(path, run):
            yield name, _text(path)
    commands = run.place.root / _TRACE
    if commands.exists():
        yield "the command line of a child", _unescaped(_text(commands))


def _is_artifact(path: Path, run: Run) -> bool:
    """Tell whether a file holds what was backed up, where a value may be in its own right."""
    aside = ("manifest.json", ".baqup-status.json")
    return path.is_relative_to(run.job_dir) and path.name not in aside


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode("utf-8", "replace")


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a document, as they are and as JSON has them."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield str(name)
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


def _unescaped(trace: str) -> str:
    """Return a trace with the bytes that it tells by numbers put back; both ways of telling."""
    raw = trace.encode("latin-1", "replace")
    back = partial(str.encode, encoding="latin-1", errors="replace")
    return trace + back(raw.decode("unicode_escape", "replace")).decode("utf-8", "replace")

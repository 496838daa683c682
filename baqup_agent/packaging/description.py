"""What an agent says of itself, asked as a controller asks: ``--info`` and ``--schema``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from baqup_agent.config.load import environment
from baqup_agent.contract import STOP_GRACE_S, ExitCode
from baqup_agent.controller.request import PASSED_ON, PASSED_ON_PREFIXES
from baqup_agent.errors import UsageError
from baqup_agent.runtime.labels import labels_of

#: Seconds that an answer is waited for; an image may have to be pulled first.
_PATIENCE_S = 60.0

#: Longest part of an agent's last words that an error shows, characters.
_SHOWN = 200


@frozen
class Description:
    """An agent's self-description.

    Attributes:
        info: what ``--info`` prints (Contract §8).
        schema: what ``--schema`` prints; None of an agent that does not know the flag.
    """

    info: Mapping[str, Any]
    schema: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The agent's name."""
        return str(self.info["agent"])

    @property
    def version(self) -> str:
        """The agent's version."""
        return str(self.info["version"])

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that it accepts."""
        return tuple(map(str, self.info["roles"]))

    @property
    def stop_grace_s(self) -> int:
        """Seconds to allow between SIGTERM and SIGKILL; the SDK's own where it does not say."""
        return int(self.info.get("stop_grace_seconds", STOP_GRACE_S))

    def labels(self) -> dict[str, str]:
        """The labels that its image must carry."""
        return labels_of(self.info, self.schema)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


#: What must hold of the members that are used here; None is a member that is not there.
_RULES: Mapping[str, Callable[[Any], bool]] = {
    "agent": _is_text,
    "version": _is_text,
    "roles": lambda roles: isinstance(roles, list) and bool(roles) and all(map(_is_text, roles)),
    "stop_grace_seconds": lambda grace: grace is None or (type(grace) is int and grace >= 0),
    "requirements": lambda told: told is None or isinstance(told, dict),
}


def describe(argv: Sequence[str], *, python_path: str | None = None) -> Description:
    """Ask an agent for its description; it gets none of the caller's ``BAQUP_*`` variables.

    Args:
        argv: the command that starts it, without a role.
        python_path: where a Python finds its modules; None for the caller's ``PYTHONPATH``.

    Raises:
        UsageError: it cannot be started, does not answer in time, or not as the contract says.
    """
    extra = {} if python_path is None else {"PYTHONPATH": python_path}
    info = _object(argv, "--info", _checked(argv, "--info", _run(argv, "--info", extra)))
    wrong = [name for name, right in _RULES.items() if not right(info.get(name))]
    if wrong:
        raise UsageError(
            f"{_shown(argv)} --info has no {', '.join(wrong)} as the contract wants it (§8); "
            "mend the agent"
        )
    return Description(info, _schema(argv, extra))


def _schema(argv: Sequence[str], extra: Mapping[str, str]) -> Mapping[str, Any] | None:
    done = _run(argv, "--schema", extra)
    if done.returncode == ExitCode.USAGE_CONFIG_ERROR:
        return None  # the contract asks for a label, not for a flag
    schema = _object(argv, "--schema", _checked(argv, "--schema", done))
    if fault := _fault(schema):
        raise UsageError(f"{_shown(argv)} --schema printed no schema: {fault}; mend the agent")
    return schema


def _fault(schema: Mapping[str, Any]) -> str | None:
    from baqup_agent.config.schema_file import fault_of  # it needs jsonschema, which is slow

    return fault_of(dict(schema))


def _run(
    argv: Sequence[str], question: str, extra: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  running the command it is given is its purpose
            [*argv, question],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
            env={**_passed_on(), **extra},
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"{_shown(argv)} did not answer {question} within {_PATIENCE_S:g} s; "
            "an agent must answer at once (§8)"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{_shown(argv)} cannot be started: {error.strerror}; check that it is a program"
        ) from error


def _passed_on() -> dict[str, str]:
    prefixes = (*PASSED_ON_PREFIXES, "DOCKER_")  # which daemon, where the agent is in an image
    return {
        name: value
        for name, value in environment().items()
        if name in PASSED_ON or name.startswith(prefixes)
    }


def _checked(argv: Sequence[str], question: str, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2][:_SHOWN]
        raise UsageError(
            f"{_shown(argv)} {question} ended with {done.returncode}: {last or 'it said nothing'}"
        )
    return done.stdout


def _object(argv: Sequence[str], question: str, text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{_shown(argv)} {question} printed no JSON object; it must be one (§8)")
    return found


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv)

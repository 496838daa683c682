"""The command line of an agent, read; what cannot be read ends with exit code 64."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

from baqup_agent.agent import Agent
from baqup_agent.contract import ExitCode, Role

_EPILOG = (
    "The job is configured by environment variables (BAQUP_JOB_ID, BAQUP_STAGING_DIR, "
    "BAQUP_BUS_URL and more). Logs go to stderr. Exit codes: 0 success, 1 failure or abort, "
    "64 configuration, 65 data, 69 unavailable, 70 internal, 73 output, 74 I/O, "
    "75 completed but unreported, 76 partial."
)


class Arguments(NamedTuple):
    """What the command line asks for."""

    role: Role | None
    info: bool
    validate: bool


def parse(agent_class: type[Agent], argv: Sequence[str]) -> Arguments:
    """Read the command line of ``agent_class``.

    Raises:
        SystemExit: for ``--help`` and ``--version`` with 0, for what cannot be read with 64.
    """
    parser = _parser(agent_class)
    given = parser.parse_args(argv)
    role = None if given.role is None else _role(agent_class, given.role)
    if role is None and not (given.info or given.validate):
        refuse(agent_class.name, f"no role given; give one of {_listed(agent_class)}")
    return Arguments(role, given.info, given.validate)


def refuse(program: str, message: str) -> NoReturn:
    """Say in one line what is wrong with the command line, and leave with 64.

    A person at a terminal gets plain text; a log collector gets a log record.
    """
    if sys.stderr.isatty():
        print(f"{program}: {message}", file=sys.stderr)  # noqa: T201
    else:
        from baqup_agent.config.load import environment
        from baqup_agent.observability.logger import Logger

        log = Logger(environment().get("BAQUP_JOB_ID", ""), program)
        log.error(message, exit_code=int(ExitCode.USAGE_CONFIG_ERROR), code="USAGE")
    sys.exit(ExitCode.USAGE_CONFIG_ERROR)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        refuse(self.prog, f"{message}; see {self.prog} --help")


def _parser(agent_class: type[Agent]) -> argparse.ArgumentParser:
    about = (agent_class.__doc__ or "A baqup backup agent.").strip().splitlines()[0]
    parser = _Parser(prog=agent_class.name, description=about, epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument(
        "role", nargs="?", metavar="ROLE", help=f"what to do: {_listed(agent_class)}"
    )
    parser.add_argument("--info", action="store_true", help="describe the agent as JSON")
    parser.add_argument(
        "--validate", action="store_true", help="check the environment, for ROLE if given, only"
    )
    parser.add_argument(
        "--version", action="version", version=f"{agent_class.name} {agent_class.version}"
    )
    return parser


def _role(agent_class: type[Agent], word: str) -> Role:
    words = [role.value for role in agent_class.roles()]
    if word in words:
        return Role(word)
    close = get_close_matches(word, words, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    refuse(agent_class.name, f"unknown role {word!r}; this agent has {_listed(agent_class)}{hint}")


def _listed(agent_class: type[Agent]) -> str:
    return ", ".join(role.value for role in agent_class.roles())

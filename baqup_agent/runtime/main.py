"""What `Agent.main` does: answer a question about the agent, or run one role (Contract §8).

Answers go to stdout, everything else to stderr. Signal handlers come before anything slow is
imported: until they are installed, the controller's probe would kill the process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from baqup_agent.contract import ExitCode, Role
from baqup_agent.runtime.signals import Signals

if TYPE_CHECKING:
    from baqup_agent.agent import Agent


def main(agent_class: type[Agent], argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line of ``agent_class`` and leave the process.

    Args:
        agent_class: the author's class.
        argv: the arguments; the process's own by default.

    Raises:
        SystemExit: always, with the run's exit code.
    """
    signals = Signals()
    signals.install()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--info"]:  # asked for often, and answered without a parser
        sys.exit(_answer_info(agent_class))

    from baqup_agent.runtime.arguments import parse

    given = parse(agent_class, arguments)
    if given.info:
        sys.exit(_answer_info(agent_class))
    if given.validate or given.role is None:
        sys.exit(_answer_validity(agent_class, given.role))

    from baqup_agent.runtime.run import run_role

    run_role(agent_class, given.role, signals)


def _answer_info(agent_class: type[Agent]) -> ExitCode:
    import json

    return _answer([json.dumps(agent_class.info(), indent=2)], ExitCode.SUCCESS)


def _answer_validity(agent_class: type[Agent], role: Role | None) -> ExitCode:
    """Say whether the environment would do, or all that is wrong with it."""
    from baqup_agent.config.load import environment
    from baqup_agent.runtime.configuring import read

    problems = read(agent_class, role, environment()).problems
    if problems:
        return _answer(problems, ExitCode.USAGE_CONFIG_ERROR)
    return _answer(["the configuration is valid"], ExitCode.SUCCESS)


def _answer(lines: Sequence[str], code: ExitCode) -> ExitCode:
    try:
        for line in lines:
            print(line)  # noqa: T201  stdout is for answers
        sys.stdout.flush()
    except OSError:  # the reader has gone; the interpreter would complain about it at exit
        sys.stdout = None
        return ExitCode.IO_ERROR
    return code

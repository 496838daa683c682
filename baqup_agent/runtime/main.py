"""What `Agent.main` does: answer a question about the agent, or run one role (Contract §8).

Answers go to stdout, everything else to stderr. Signal handlers come before anything slow is
imported: until they are installed, the controller's probe would kill the process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

from baqup_agent.contract import ExitCode
from baqup_agent.runtime.signals import Signals

if TYPE_CHECKING:
    from baqup_agent.agent import Agent
    from baqup_agent.runtime.arguments import Arguments


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
    if not agent_class.roles():
        from baqup_agent.runtime.arguments import require_roles

        require_roles(agent_class)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--info"]:  # asked for often, and answered without a parser
        sys.exit(_answer_info(agent_class))

    from baqup_agent.runtime.arguments import parse

    given = parse(agent_class, arguments)
    if given.question is not None:
        sys.exit(_answer_question(agent_class, given))

    from baqup_agent.runtime.run import run_role

    assert given.role is not None  # noqa: S101  `parse` sees to it, and type checkers cannot
    run_role(agent_class, given.role, signals)


def _answer_info(agent_class: type[Agent]) -> ExitCode:
    import json

    return _answer(agent_class, json.dumps(agent_class.info(), indent=2), ExitCode.SUCCESS)


def _answer_question(agent_class: type[Agent], given: Arguments) -> ExitCode:
    if given.question == "info":
        return _answer_info(agent_class)
    if given.question == "validate":
        from baqup_agent.config.load import environment
        from baqup_agent.runtime.validating import validity

        environ = environment()
        return _answer(
            agent_class,
            *validity(agent_class, given.role, environ, as_json=given.json, strict=given.strict),
        )
    from baqup_agent.runtime.describing import answer

    text = answer(agent_class, str(given.question), given.form, given.role)
    return _answer(agent_class, text, ExitCode.SUCCESS)


def _answer(agent_class: type[Agent], text: str, code: ExitCode) -> ExitCode:
    try:
        if isinstance(sys.stdout, TextIOWrapper):  # a name may hold what cannot be encoded
            sys.stdout.reconfigure(errors="backslashreplace")
        print(text)  # noqa: T201  stdout is for answers
        sys.stdout.flush()
    except OSError as error:
        from baqup_agent.runtime.arguments import unwritten

        unwritten(agent_class.name, error)
    return code

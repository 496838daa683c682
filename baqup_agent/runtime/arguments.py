"""The command line of an agent, read; what cannot be read ends with exit code 64."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from baqup_agent.agent import Agent
from baqup_agent.contract import ExitCode, Role
from baqup_agent.runtime.completion import SHELLS, Option

#: The forms of ``--labels`` and of ``--diagram``; the first is taken where none is given.
LABEL_FORMS = ("arguments", "dockerfile", "json")
DIAGRAM_FORMS = ("text", "mermaid", "dot", "svg")

#: What can be asked of an agent instead of giving it a role; each stands alone.
QUESTIONS = (
    Option("--info", "describe the agent as JSON"),
    Option("--schema", "print the JSON Schema of the environment"),
    Option("--labels", "print the labels of the image", LABEL_FORMS),
    Option("--diagram", "draw the lifecycle", DIAGRAM_FORMS),
    Option("--env-template", "print a commented .env file"),
    Option("--env-table", "print the environment as a Markdown table"),
    Option("--completion", "print the script that completes commands in a shell", tuple(SHELLS)),
    Option("--validate", "only check the environment, for ROLE if one is given"),
)

#: What is added to ``--validate``.
_ADDITIONS = (
    Option("--json", "with --validate - answer as JSON"),
    Option("--strict", "with --validate - take unknown BAQUP_ names for mistakes"),
)

#: Everything that completion offers besides the roles.
OPTIONS = (
    *QUESTIONS,
    *_ADDITIONS,
    Option("--version", "tell name and version"),
    Option("--help", "explain the command line"),
)


class Arguments(NamedTuple):
    """What the command line asks for.

    Attributes:
        role: what to do, or for which role a question is asked.
        question: an option of `QUESTIONS` without its dashes; None to run the role.
        form: the word behind the option.
        json: answer ``--validate`` as JSON.
        strict: take oddities for mistakes.
    """

    role: Role | None
    question: str | None = None
    form: str = ""
    json: bool = False
    strict: bool = False


def parse(agent_class: type[Agent], argv: Sequence[str]) -> Arguments:
    """Read the command line of ``agent_class``.

    Raises:
        SystemExit: for ``--help`` and ``--version`` with 0, for what cannot be read with 64.
    """
    given = vars(_parser(agent_class, argv).parse_args(argv))
    role = None if given["role"] is None else _role(agent_class, given["role"])
    asked = {option.name: given[_key(option)] for option in QUESTIONS if given[_key(option)]}
    if (given["json"] or given["strict"]) and "--validate" not in asked:
        refuse(agent_class.name, "--json and --strict go with --validate; add it")
    if role is None and not asked:
        refuse(agent_class.name, f"no role given; give one of {_listed(agent_class)}")
    question, form = next(iter(asked.items()), (None, ""))
    if question is None:
        return Arguments(role)
    word = form if isinstance(form, str) else ""
    return Arguments(role, question.removeprefix("--"), word, given["json"], given["strict"])


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
        refuse(self.prog, f"{' '.join(message.split())}; see {self.prog} --help")


def _parser(agent_class: type[Agent], argv: Sequence[str]) -> argparse.ArgumentParser:
    about = (agent_class.__doc__ or "A baqup backup agent.").strip().splitlines()[0]
    parser = _Parser(
        prog=agent_class.name,
        description=about,
        epilog=_epilogue(agent_class, argv),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "role", nargs="?", metavar="ROLE", help=f"what to do: {_listed(agent_class)}"
    )
    questions = parser.add_mutually_exclusive_group()
    for option in QUESTIONS:
        _add_question(questions, option)
    for option in _ADDITIONS:
        parser.add_argument(option.name, action="store_true", help=option.purpose)
    parser.add_argument(
        "--version", action="version", version=f"{agent_class.name} {agent_class.version}"
    )
    return parser


def _add_question(group: argparse._MutuallyExclusiveGroup, option: Option) -> None:
    if not option.words:
        group.add_argument(option.name, action="store_true", help=option.purpose)
    elif option.name == "--completion":
        group.add_argument(
            option.name, choices=option.words, metavar="SHELL", help=_with_words(option)
        )
    else:
        group.add_argument(
            option.name,
            nargs="?",
            const=option.words[0],
            choices=option.words,
            metavar="FORM",
            help=_with_words(option),
        )


def _with_words(option: Option) -> str:
    return f"{option.purpose}: {', '.join(option.words)}"


def _key(option: Option) -> str:
    return option.name.removeprefix("--").replace("-", "_")


def _epilogue(agent_class: type[Agent], argv: Sequence[str]) -> str:
    if not {"-h", "--help"} & set(argv):
        return ""  # making it takes longer than everything else here
    from baqup_agent.runtime.explaining import epilogue

    return epilogue(agent_class)


def _role(agent_class: type[Agent], word: str) -> Role:
    words = [role.value for role in agent_class.roles()]
    if word in words:
        return Role(word)
    from difflib import get_close_matches  # only mistakes need it

    close = get_close_matches(word, words, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    refuse(agent_class.name, f"unknown role {word!r}; this agent has {_listed(agent_class)}{hint}")


def _listed(agent_class: type[Agent]) -> str:
    return ", ".join(role.value for role in agent_class.roles())

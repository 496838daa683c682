"""The command line of an agent, read; what cannot be read ends with exit code 64."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from baqup_agent.agent import Agent
from baqup_agent.contract import ExitCode, Role
from baqup_agent.runtime.completion import SHELLS, Option

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

#: Least likeness of a method's name and the role that was meant by it, from 0 to 1.
_ALIKE = 0.8

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
    require_roles(agent_class)
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


def require_roles(agent_class: type[Agent]) -> None:
    """Refuse to do anything for a class that is only a base of agents.

    Raises:
        SystemExit: with 64, where no role is defined.
    """
    if agent_class.roles():
        return
    words = [role.value for role in Role]
    first, *others = (f"{word}(self, job)" for word in words)
    strays = [_almost(name, words) for name in dir(agent_class) if not name.startswith("_")]
    hint = "".join(f"; did you mean {word} by {name}?" for name, word in filter(None, strays))
    refuse(
        getattr(agent_class, "name", agent_class.__name__),
        f"{agent_class.__name__} defines no role; define {first}, or one of {', '.join(others)}"
        f"{hint}",
    )


def _almost(name: str, words: Sequence[str]) -> tuple[str, str] | None:
    from difflib import get_close_matches  # only mistakes need it

    close = get_close_matches(name, words, n=1, cutoff=_ALIKE)
    return (name, close[0]) if close else None


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


def unwritten(program: str, error: OSError) -> NoReturn:
    """Leave with 74 because an answer cannot be written; a reader that went away knows it.

    Args:
        program: the agent's name.
        error: why.
    """
    sys.stdout = None  # the interpreter would complain about it at exit
    if not isinstance(error, BrokenPipeError):
        reason = error.strerror or type(error).__name__
        line = f"{program}: the answer cannot be written: {reason}; give stdout room or another way"
        print(line, file=sys.stderr)  # noqa: T201
    sys.exit(ExitCode.IO_ERROR)


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Write help or version; argparse itself would keep quiet about a disk that is full."""
        try:
            (file or sys.stdout).write(message)
            sys.stdout.flush()
        except OSError as error:
            unwritten(self.prog, error)

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

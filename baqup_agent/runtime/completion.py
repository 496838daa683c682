"""Completion of an agent's command line by the shell, as a script for each shell.

The script holds the words themselves, so that completing starts no agent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Option(NamedTuple):
    """One option of the command line.

    Attributes:
        name: with its dashes.
        purpose: what it does, in plain words without quotes and brackets.
        words: what may follow it; nothing for a plain switch.
    """

    name: str
    purpose: str
    words: Sequence[str] = ()


def script(shell: str, command: str, roles: Sequence[str], options: Sequence[Option]) -> str:
    """Return the script for ``bash``, ``zsh`` or ``fish``.

    Args:
        shell: which one.
        command: the agent's command.
        roles: what it can be told to do.
        options: its options.
    """
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](command, roles, options)


#: How each shell takes its script.
SHELLS: Mapping[str, str] = {
    "bash": 'eval "$({command} --completion bash)"',
    "zsh": 'eval "$({command} --completion zsh)"',
    "fish": "{command} --completion fish | source",
}


def _bash(command: str, roles: Sequence[str], options: Sequence[Option]) -> str:
    name = _function(command)
    cases = "".join(
        f'        {option.name}) COMPREPLY=($(compgen -W "{" ".join(option.words)}" -- "$word"))\n'
        "            [ ${#COMPREPLY[@]} -gt 0 ] && return ;;\n"
        for option in options
        if option.words
    )
    words = " ".join([*roles, *(option.name for option in options)])
    return (
        f"{name}() {{\n"
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"\n'
        '    case "$before" in\n'
        f"{cases}"
        "    esac\n"
        f'    COMPREPLY=($(compgen -W "{words}" -- "$word"))\n'
        "}\n"
        f"complete -F {name} {command}\n"
    )


def _zsh(command: str, roles: Sequence[str], options: Sequence[Option]) -> str:
    name = _function(command)
    lines = [f"'{each.name}[{each.purpose}]{_zsh_words(each)}'" for each in options]
    specs = " \\\n        ".join([*lines, f"'1:role:({' '.join(roles)})'"])
    return (
        f"#compdef {command}\n"
        f"{name}() {{\n    _arguments \\\n        {specs}\n}}\n"
        f"compdef {name} {command}\n"
    )


def _zsh_words(option: Option) -> str:
    return f":word:({' '.join(option.words)})" if option.words else ""


def _fish(command: str, roles: Sequence[str], options: Sequence[Option]) -> str:
    words = " ".join(roles)
    lines = [
        f"complete -c {command} -f",
        f"complete -c {command} -n 'not __fish_seen_subcommand_from {words}' -a '{words}'",
    ]
    for option in options:
        values = f" -x -a '{' '.join(option.words)}'" if option.words else ""
        long = option.name.removeprefix("--")
        lines.append(f"complete -c {command} -l {long} -d '{option.purpose}'{values}")
    return "\n".join(lines) + "\n"


def _function(command: str) -> str:
    return "_" + re.sub(r"\W", "_", command)

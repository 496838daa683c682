"""From what a person calls an agent to the command that starts it."""

from __future__ import annotations

import os
import pkgutil
import shutil
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from baqup_agent.errors import UsageError

#: The package that holds the agents of this distribution.
_BUILT_IN = "baqup_agent.agents"


@frozen
class AgentCommand:
    """How one agent is started.

    Attributes:
        label: what it was called, for display.
        argv: the command without the role.
    """

    label: str
    argv: tuple[str, ...]


def resolve_agent(text: str, *, search_path: str | None = None) -> AgentCommand:
    """Find the agent that ``text`` names.

    A text with a slash, or one that ends in ``.py``, is a path; any other is the name of a
    built-in agent or else of an executable on the search path.

    Args:
        text: ``fs``, ``./my_agent.py``, ``/opt/agent`` or ``my-agent``.
        search_path: directories as in ``PATH``; None takes the process's own.

    Raises:
        UsageError: there is no such agent, or it cannot be executed.
    """
    if os.sep in text or text.endswith(".py"):
        return AgentCommand(text, _path_command(text))
    if text in built_in_agents():
        return AgentCommand(text, (sys.executable, "-m", f"{_BUILT_IN}.{text}"))
    if found := shutil.which(text, path=search_path):
        return AgentCommand(text, (str(Path(found).absolute()),))
    raise UsageError(_unknown(text))


def built_in_agents() -> tuple[str, ...]:
    """Return the names of the agents that come with this package, sorted."""
    spec = find_spec(_BUILT_IN)
    folders = spec.submodule_search_locations if spec else None
    names = (module.name for module in pkgutil.iter_modules(folders or []) if module.ispkg)
    return tuple(sorted(names))


def _path_command(text: str) -> tuple[str, ...]:
    path = Path(text).absolute()
    if not path.exists():
        raise UsageError(f"no agent at {text!r}: there is no such file; check the path")
    if not path.is_file():
        raise UsageError(f"no agent at {text!r}: it is not a file; give a program or a .py file")
    if path.suffix == ".py":
        return (sys.executable, str(path))
    if not os.access(path, os.X_OK):
        raise UsageError(f"the agent {text!r} is not executable; run: chmod +x {text}")
    return (str(path),)


def _unknown(text: str) -> str:
    known = built_in_agents()
    close = get_close_matches(text, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"built in: {', '.join(known) or 'none'}"
    message = f"no agent {text!r}: neither built in nor an executable on PATH; {hint}"
    if Path(text).is_file():
        message += f" A file is named with its folder: ./{text}"
    return message

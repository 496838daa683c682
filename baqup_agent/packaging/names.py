"""What a new project and its parts are called."""

from __future__ import annotations

import re

from attrs import frozen

from baqup_agent.errors import UsageError

_PREFIX = "agent-"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

#: Longest name, characters: with a role and a number it must still be a name in Kubernetes (63).
MAX_LENGTH = 40

#: Names that this distribution installs programs under.
_TAKEN = frozenset({"agent-fs"})


@frozen
class ProjectNames:
    """The names of one project, all derived from the agent's.

    Attributes:
        agent: the agent's, the program's and the distribution's name: ``agent-my-db``.
    """

    agent: str

    @property
    def package(self) -> str:
        """The name that is imported: ``agent_my_db``."""
        return self.agent.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class's name: ``MyDbAgent``."""
        words = self.agent.removeprefix(_PREFIX).split("-")
        return "".join(word.capitalize() for word in words) + "Agent"


def project_names(text: str) -> ProjectNames:
    """Return the names of the project that a person calls ``text``, with or without ``agent-``.

    Raises:
        UsageError: no agent can be called so.
    """
    name = text if text.startswith(_PREFIX) else _PREFIX + text
    if not _NAME.fullmatch(name):
        raise UsageError(f"{text!r} is no name of an agent: {_RULE}{_suggestion(text)}")
    if not name[len(_PREFIX)].isalpha():
        raise UsageError(
            f"{text!r} is no name of an agent: what follows 'agent-' must begin with a letter, "
            "because a class is named by it"
        )
    if len(name) > MAX_LENGTH:
        raise UsageError(
            f"{name!r} has {len(name)} characters; give a name of {MAX_LENGTH} at most, which is "
            "what fits into the names that Kubernetes makes of it"
        )
    if name in _TAKEN:
        raise UsageError(f"{name!r} comes with baqup-agent itself; choose another name")
    return ProjectNames(name)


_RULE = "use lower-case letters and digits, words joined by hyphens, for example 'agent-sqlite'"


def _suggestion(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", text).lower())
    fitting = "-".join(words).lstrip("0123456789-")
    return f"; did you mean {fitting!r}?" if fitting else ""

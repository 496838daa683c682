"""Generated projects, made once for many tests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from baqup_agent.contract import Role
from baqup_agent.packaging.names import project_names
from baqup_agent.packaging.project import ROLES, Project

#: The longest name there can be, which puts every line to the test.
LONG_NAME = "agent-a123456789-b123456789-c12345678901"


@cache
def texts_of(name: str, roles: tuple[Role, ...] = ROLES) -> Mapping[str, str]:
    """The files of a project by their paths."""
    return Project(project_names(name), roles).texts()

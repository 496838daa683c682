from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_process import AgentProcess

#: The actor whose SDK can be held up.
SLOW_ACTOR = Path(__file__).parent / "slow_actor.py"

#: Starts the actor with an act; further arguments as for `AgentProcess`.
Act = Callable[..., AgentProcess]


@pytest.fixture
def act(tmp_path: Path) -> Iterator[Act]:
    """Starts agents that are ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(name: str, role: str = "snapshot", **arguments: Any) -> AgentProcess:
            environ = {"BAQUP_SOURCE_ACT": name, **(arguments.pop("environ", None) or {})}
            agent = AgentProcess(tmp_path, role, environ=environ, **arguments)
            stack.callback(agent.end)
            return agent

        yield start

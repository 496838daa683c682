"""Parts of the engine, on a real server and the agent of agents/plain.py."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from baqup_agent.conformance.conform_file import read_conform_file
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.session import Session, Settings
from tests.conformance.judging import HERE
from tests.conformance.mutants import plain_command


@pytest.fixture
def lab_of() -> Iterator[Callable[..., Lab]]:
    """Makes a lab for a command, by default the correct agent."""
    with ExitStack() as stack:

        def make(*command: str) -> Lab:
            settings = Settings(
                command=command or plain_command(),
                file=read_conform_file(HERE / "plain.toml"),
                host=dict(os.environ),
            )
            session = stack.enter_context(Session(settings))
            return stack.enter_context(Lab(session, "test", 1, time.monotonic() + 120))

        yield make


@pytest.fixture
def lab(lab_of) -> Lab:
    """A lab for the correct agent."""
    return lab_of()

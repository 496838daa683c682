"""The commands about containers, called as the program calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest
from attrs import frozen

from baqup_agent.cli import run
from baqup_agent.packaging import description
from baqup_agent.packaging.description import Description, describe


@frozen
class Answer:
    """What a call said."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@cache
def _described(argv: tuple[str, ...]) -> Description:
    return describe(argv)


def described_once(argv: Sequence[str], *, python_path: str | None = None) -> Description:
    """Ask an agent, but the same one only once for all tests: it always says the same."""
    return (
        _described(tuple(argv)) if python_path is None else describe(argv, python_path=python_path)
    )


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``baqup-agent`` with arguments, in this process."""
    monkeypatch.setattr(description, "describe", described_once)

    def answer(*arguments: object) -> Answer:
        code = run([str(each) for each in arguments])
        said = capsys.readouterr()
        return Answer(int(code), said.out, said.err)

    return answer

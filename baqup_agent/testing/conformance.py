"""The conformance suite as tests: of an author's own, or by an option of pytest.

    from baqup_agent.testing import conformance_tests

    TestMyAgent = conformance_tests(command="./my-agent", config="conform.toml")

A test's id holds the id of its check, ``test_rule[signals/16/term-in-running]``. A broken rule is
a failure; what the suite could not judge is an error; what cannot be held against the agent is
skipped, and so is a broken SHOULD unless ``strict`` is asked for. pytest has to be installed.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from attrs import frozen

from baqup_agent.config.load import environment

if TYPE_CHECKING:
    from baqup_agent.conformance.check import Check
    from baqup_agent.conformance.report import Result
    from baqup_agent.conformance.session import Settings

#: Lines of evidence, and entries of a timeline's end, that a failure shows.
_EVIDENCE, _ENTRIES = 12, 20

#: Characters of one of them.
_WIDTH = 200

#: Seconds beyond a check's own limit for cleaning up.
_BEYOND_S = 60.0


@frozen
class Plan:
    """What is judged, and by which checks."""

    settings: Settings
    checks: tuple[Check, ...]
    strict: bool = False


def plan(
    command: str | Sequence[str],
    config: str | Path | None = None,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    full: bool = False,
    strict: bool = False,
) -> Plan:
    """Return what `conformance_tests` carries out; its arguments and errors are the same."""
    from baqup_agent.conformance.check import all_checks, select
    from baqup_agent.conformance.conform_file import ConformFile, read_conform_file
    from baqup_agent.conformance.session import Settings, resolve_command

    host = environment()
    words = shlex.split(command) if isinstance(command, str) else list(command)
    settings = Settings(
        command=resolve_command(words, host),
        file=read_conform_file(Path(config)) if config else ConformFile(),
        host=host,
        seed=seed,
        time_scale=1.0 if full else 0.1,
        full=full,
    )
    return Plan(settings, tuple(select(all_checks(), only)), strict)


class Bench:
    """Carries checks out one by one on one server; used in a ``with`` block.

    Args:
        settings: what is judged.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from baqup_agent.conformance.session import Session, unsupported

        unsupported(sys.platform)
        self._session = self._stack.enter_context(Session(self._settings))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def judge(self, check: Check) -> Result:
        """Carry one check out."""
        from baqup_agent.conformance.suite import Work

        work = Work(self._session, [check], lambda _: None)
        return work.carry_out(time.monotonic() + check.limit_s + _BEYOND_S)[0]


def tell_error(result: Result) -> None:
    """Fail if the suite could not judge: within a fixture, pytest calls that an error."""
    import pytest

    from baqup_agent.conformance.report import Outcome

    if result.outcome is Outcome.ERROR:
        lines = [f"the suite could not judge: {result.message}", *result.evidence]
        pytest.fail("\n".join(lines), pytrace=False)


def tell(result: Result, *, strict: bool) -> None:
    """Fail or skip by what came of a check; return if its rule holds."""
    import pytest

    from baqup_agent.conformance.check import Level
    from baqup_agent.conformance.report import Outcome

    if result.outcome is Outcome.FAIL:
        if strict or result.check.level is Level.MUST:
            _fail(result)
        # Of pytest's outcomes, the one that breaks no build and is told with its reason (-rs).
        pytest.skip(f"SHOULD broken: {result.message}")
    if result.outcome is not Outcome.PASS:  # it does not apply to this agent, for the reason told
        pytest.skip(f"{result.outcome}: {result.message}")


def _fail(result: Result) -> NoReturn:
    """Fail with what was seen, the rule, what to do, and the end of the last run's timeline."""
    import pytest

    from baqup_agent.conformance.terminal import timeline_lines

    lines = [
        result.message,
        "",
        f"rule    {result.check.rule} ({result.check.source})",
        f"remedy  {result.check.remedy}",
        *(f"| {line}" for line in result.evidence[:_EVIDENCE]),
    ]
    for run in result.runs[-1:]:
        lines += [f"run     {shlex.join(run.command)}", *timeline_lines(run, _ENTRIES)]
    pytest.fail("\n".join(line[:_WIDTH] for line in lines), pytrace=False)


def conformance_tests(
    *,
    command: str | Sequence[str],
    config: str | Path | None = None,
    only: Sequence[str] = (),
    seed: int = 0,
    full: bool = False,
    strict: bool = False,
) -> type[Any]:
    """Return a class of tests, one for each check; give it a name that pytest collects.

    Args:
        command: the agent's, without a role: words, or a text with words as in a shell.
        config: a ``conform.toml``, which tells what a valid environment is.
        only: patterns of checks: a section, a number, a range, an id; all if there is none.
        seed: what is drawn at random follows from it.
        full: sweeps at their full length, and the contract's own intervals.
        strict: whether a broken SHOULD counts.

    Returns:
        The class.

    Raises:
        UsageError: the command does not exist, or a pattern names no check.
        ConfigError: the file cannot be read, or says something that has no sense.
        ModuleNotFoundError: pytest is not installed.
    """
    chosen = plan(command, config, only=only, seed=seed, full=full, strict=strict)
    name = "".join(filter(str.isalnum, Path(chosen.settings.command[-1]).stem.title()))
    namespace = {
        "__doc__": f"The conformance of {shlex.join(chosen.settings.command)}.",
        "__module__": sys._getframe(1).f_globals.get("__name__", __name__),  # noqa: SLF001
        **_methods(chosen),
    }
    return type(f"Test{name}", (), namespace)


def _methods(chosen: Plan) -> dict[str, Any]:
    import pytest

    def setup_class(cls: type[Any]) -> None:
        cls.bench = Bench(chosen.settings).__enter__()

    def teardown_class(cls: type[Any]) -> None:
        cls.bench.__exit__()

    @pytest.fixture
    def conformance_result(self: Any, check: Check) -> Result:
        result: Result = self.bench.judge(check)
        tell_error(result)
        return result

    return {
        "setup_class": classmethod(setup_class),
        "teardown_class": classmethod(teardown_class),
        "conformance_result": conformance_result,
        "test_rule": _test(chosen),
    }


def _test(chosen: Plan) -> Any:
    import pytest

    def test_rule(self: object, check: Check, conformance_result: Result) -> None:  # noqa: ARG001
        """A rule of the contract holds, seen from outside."""
        tell(conformance_result, strict=chosen.strict)

    rows = [pytest.param(one, id=one.id) for one in chosen.checks]
    return pytest.mark.parametrize("check", rows)(test_rule)

"""The checks of the conformance suite as items of pytest, beside the tests that it finds."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.conformance.check import Check
from baqup_agent.conformance.report import Result
from baqup_agent.conformance.verdicts import CannotJudge
from baqup_agent.errors import BaqupError
from baqup_agent.testing.conformance import Bench, Plan, plan, tell, tell_error

#: The file that is read if it is there and no other is named.
_DEFAULT_FILE = "conform.toml"


class Conform:
    """Adds the checks to a run of pytest.

    Args:
        config: the run's.

    Raises:
        pytest.UsageError: the command, the file or a pattern cannot be used.
    """

    def __init__(self, config: pytest.Config) -> None:

        def option(name: str) -> Any:
            return config.getoption(name)

        default = config.invocation_params.dir / _DEFAULT_FILE
        try:
            self.plan = plan(
                option("--baqup-agent"),
                option("--baqup-conform-config") or (default if default.is_file() else None),
                only=option("--baqup-conform-only"),
                seed=option("--baqup-conform-seed"),
                full=option("--baqup-conform-full"),
                strict=option("--baqup-conform-strict"),
            )
        except (BaqupError, ValueError) as error:  # ValueError: an open quotation mark
            raise pytest.UsageError(f"--baqup-agent: {error}") from error

    def pytest_report_header(self) -> str:
        """Say what is judged, and how that is repeated."""
        settings = self.plan.settings
        return f"baqup agent: {shlex.join(settings.command)}, seed {settings.seed}"

    @pytest.hookimpl(tryfirst=True)  # before what -k and -m leave out
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add an item for each check."""
        parent = CheckCollector.from_parent(
            session, name="conform", nodeid="conform", path=session.path, plan=self.plan
        )
        # As pytest's own collectors are asked, so that its counts are right.
        report = session.ihook.pytest_make_collect_report(collector=parent)
        session.ihook.pytest_collectreport(report=report)
        items.extend(report.result)


class CheckCollector(pytest.Collector):
    """Holds the items of all checks, and the one server that they share."""

    def __init__(self, *, plan: Plan, **named: Any) -> None:
        super().__init__(**named)
        self.plan = plan
        self.bench = Bench(plan.settings)

    def collect(self) -> Iterator[pytest.Item]:
        """Make an item for each check."""
        for check in self.plan.checks:
            yield CheckItem.from_parent(self, name=check.id, check=check, collector=self)

    def setup(self) -> None:
        """Start the server, before the first item."""
        try:
            self.bench.__enter__()
        except (BaqupError, CannotJudge) as error:
            pytest.fail(f"the suite cannot begin: {error}", pytrace=False)

    def teardown(self) -> None:
        """End everything, behind the last item."""
        self.bench.__exit__()


class CheckItem(pytest.Item):
    """One check."""

    def __init__(self, *, check: Check, collector: CheckCollector, **named: Any) -> None:
        super().__init__(**named)
        self.check = check
        self._collector = collector
        self._result: Result | None = None

    def setup(self) -> None:
        """Carry the check out: what the suite cannot judge is pytest's error, no failure."""
        self._result = self._collector.bench.judge(self.check)
        tell_error(self._result)

    def runtest(self) -> None:
        """Fail, skip or pass by what came of it."""
        assert self._result is not None  # noqa: S101  pytest has called `setup`
        tell(self._result, strict=self._collector.plan.strict)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where it is from."""
        return self.path, None, self.nodeid

"""Carries checks out: side by side where they may, alone where they measure time."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.conformance.check import Check, matches
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.report import Outcome, Report, Result
from baqup_agent.conformance.session import Session, Settings, unsupported
from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable, Violation
from baqup_agent.errors import ConfigError

#: Seconds between two looks at whether Ctrl-C was pressed.
_LOOK_S = 0.2

#: What a check lacks that does not apply to an agent of which everything has to be judged.
_NO_REASON = "and no [bypass] of conform.toml says why"

#: Seconds for an agent to say its name when the time of the suite is up.
_NAME_S = 3.0


def run_suite(
    settings: Settings,
    checks: Sequence[Check],
    *,
    strict: bool = False,
    told: Callable[[Result], None] = lambda _: None,
) -> Report:
    """Judge an agent.

    Args:
        settings: the agent, and how to go about it.
        checks: what is checked.
        strict: whether a broken SHOULD counts.
        told: is called with each result as it comes, from one thread at a time.

    Raises:
        BaqupError: the command, the file or the server cannot be used at all.
        CannotJudge: this is not Linux.
    """
    unsupported(sys.platform)
    _check_bypasses(settings, checks)
    began_s = time.monotonic()
    began_at = timestamp(SystemClock().now())
    with Session(settings) as session:
        deadline_s = began_s + settings.limit_s
        results = Work(session, checks, told).carry_out(deadline_s)
        info = _info(session, deadline_s)
    return Report(
        command=settings.command,
        agent=str(info.get("agent", "")),
        version=str(info.get("version", "")),
        seed=settings.seed,
        time_scale=settings.time_scale,
        full=settings.full,
        strict=strict,
        complete=settings.complete,
        began_at=began_at,
        duration_s=time.monotonic() - began_s,
        results=tuple(results),
    )


def _info(session: Session, deadline_s: float) -> dict[str, object]:
    """Return what the agent says of itself; empty if it says nothing, which a check tells."""
    with Lab(session, "info", 0, max(deadline_s, time.monotonic() + _NAME_S)) as lab:
        try:
            return lab.agent.info()
        except (Violation, CannotJudge):
            return {}


def _check_bypasses(settings: Settings, checks: Sequence[Check]) -> None:
    from baqup_agent.conformance.check import all_checks

    known = [*all_checks(), *checks]
    for pattern in settings.file.bypass:
        if not any(matches(one, pattern) for one in known):
            raise ConfigError(f"[bypass] {pattern!r} names no check; see 'conform --list'")


class Work:
    """The checks of one suite, on their way.

    Args:
        session: what they share.
        checks: all of them.
        told: is called with each result.
    """

    def __init__(
        self, session: Session, checks: Sequence[Check], told: Callable[[Result], None]
    ) -> None:
        self._session = session
        self._checks = checks
        self._told = told
        self._labs: set[Lab] = set()
        self._lock = threading.Lock()

    def carry_out(self, deadline_s: float) -> list[Result]:
        """Carry out every check as often as it is asked for; return the results in order."""
        settings = self._session.settings
        rounds = range(1, settings.repeat + 1)
        jobs = [(one, number) for one in self._checks for number in rounds]
        found: dict[tuple[str, int], Result] = {}
        for alone in (False, True):
            group = [job for job in jobs if job[0].exclusive is alone]
            workers = 1 if alone else settings.jobs
            for result in self._side_by_side(group, workers, deadline_s):
                found[result.check.id, result.round_number] = result
                self._told(result)
        return [found[one.id, number] for one, number in jobs]

    def _side_by_side(
        self, jobs: Sequence[tuple[Check, int]], workers: int, deadline_s: float
    ) -> Iterator[Result]:
        with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
            open_jobs: set[Future[Result]] = {
                pool.submit(self._judge, one, number, deadline_s) for one, number in jobs
            }
            try:
                while open_jobs:
                    done, open_jobs = wait(open_jobs, _LOOK_S, "FIRST_COMPLETED")
                    for future in done:
                        yield future.result()
            except BaseException:
                self._cancel(open_jobs)
                raise

    def _cancel(self, jobs: set[Future[Result]]) -> None:
        self._session.cancelled = True
        for future in jobs:
            future.cancel()
        with self._lock:
            labs = list(self._labs)
        for lab in labs:
            for run in list(lab.runs):
                run.close()

    def _judge(self, one: Check, number: int, deadline_s: float) -> Result:
        """Carry one check out; whatever it raises is an outcome."""
        for pattern, reason in self._session.settings.file.bypass.items():
            if matches(one, pattern):
                return Result(one, Outcome.BYPASSED, reason, round_number=number)
        began_s = time.monotonic()
        limit_s = min(deadline_s, began_s + one.limit_s)
        lab = Lab(self._session, one.id, number, limit_s)
        with self._lock:
            self._labs.add(lab)
        complete = self._session.settings.complete
        outcome, message, evidence = _outcome(one, lab, complete=complete)
        try:
            lab.close()
        except Exception as error:  # noqa: BLE001  the suite's own failure, told as such
            outcome, message = Outcome.ERROR, f"cleaning up failed: {error!r}"
            evidence = tuple(traceback.format_exception(error))
        with self._lock:
            self._labs.discard(lab)
        # After the end of the runs, so that their records say how they ended.
        runs = tuple(run.record() for run in lab.runs)
        took_s = time.monotonic() - began_s
        return Result(one, outcome, message, evidence, runs, took_s, number)


def _outcome(one: Check, lab: Lab, *, complete: bool) -> tuple[Outcome, str, tuple[str, ...]]:
    try:
        one.body(lab)
    except Violation as violation:
        return Outcome.FAIL, violation.message, violation.evidence
    except NotApplicable as idle:
        if complete and not idle.stated:
            return Outcome.ERROR, f"not applicable, {_NO_REASON}: {idle.reason}", ()
        return Outcome.NOT_APPLICABLE, idle.reason, ()
    except CannotJudge as error:
        return Outcome.ERROR, str(error), ()
    except Exception as error:  # noqa: BLE001  a bug of the suite is never the agent's fault
        lines = tuple(traceback.format_exc().splitlines())
        return Outcome.ERROR, f"a bug of the suite: {error!r}", lines
    return Outcome.PASS, "", ()

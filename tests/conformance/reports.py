"""Reports made by hand, for tests of what is written of them."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from baqup_agent.conformance.check import SECTIONS, Check, Level, Tier
from baqup_agent.conformance.messages import Message
from baqup_agent.conformance.report import Outcome, Report, Result
from baqup_agent.conformance.seen import RunRecord
from baqup_agent.conformance.timeline import Entry

#: What an agent may print to take over a page that shows it.
HOSTILE = (
    '<script>document.title = "owned"</script></style></title></textarea></svg>'
    '<img src=x onerror=\'document.title = "owned"\'>"><b id=evil>\u202e\x00\x1b[31m&lt;'
)


def check(name: str, *, level: Level = Level.MUST, rule: str = "It holds.") -> Check:
    section, number, slug = name.split("/")
    assert section in SECTIONS
    words = {"source": "Contract §1", "how": "It is looked at.", "remedy": "Mend it."}
    return Check(
        section, int(number), slug, rule, **words, level=level, tier=Tier.A,
        exclusive=False, limit_s=60, body=lambda _: None,
    )  # fmt: skip


def message(at_s: float, kind: str, seq: int, **members: object) -> Entry:
    body = {"type": kind, "seq": seq, **members}
    return Entry(at_s, "message", f"{kind} {seq}", Message(at_s, "notify", "k", body))


def run(*more: Entry, hostile: str = "") -> RunRecord:
    """Return a run that began at 100 s, was told to stop in running, and ended 2 s later."""
    entries = [
        Entry(100.0, "start", "pid 17"),
        message(100.2, "heartbeat", 1, state="initializing"),
        Entry(100.2, "state", "initializing"),
        Entry(100.5, "state", "running"),
        Entry(100.6, "file", "job/.staging/data created", ("created", "job/.staging/data")),
        Entry(100.7, "stderr", hostile or "now running"),
        Entry(101.0, "signal", "SIGTERM", signal.SIGTERM),
        Entry(101.1, "bus", "refused"),
        Entry(101.5, "state", "failed"),
        message(101.6, "status", 2, status="failed", error={"code": "ABORTED"}),
        Entry(101.7, "file", "job/manifest.json moved here", ("moved here", "job/manifest.json")),
        *more,
        Entry(102.0, "exit", "exit code 1", 1),
    ]
    environment = {"BAQUP_JOB_ID": "job", "BAQUP_SECRET_TOKEN": "***"}
    return RunRecord(("agent", hostile or "snapshot"), environment, 100.0, tuple(entries), 0)


def report(*results: Result, strict: bool = False, command: Sequence[str] = ("agent",)) -> Report:
    return Report(
        command=tuple(command), agent="agent-x", version="1.2", seed=7, time_scale=0.1, full=False,
        strict=strict, began_at="2026-01-15T03:00:00.000000Z", duration_s=75.0,
        results=tuple(results),
    )  # fmt: skip


def of_every_kind(*, strict: bool = False, hostile: str = "") -> Report:
    """Return a report with a result of every outcome."""
    seen, lines = hostile or "it ended with exit code 0", (hostile or "a line of evidence",)
    return report(
        Result(check("contract/1/info"), Outcome.PASS, duration_s=0.2),
        Result(check("contract/3/labels"), Outcome.BYPASSED, hostile or "built elsewhere"),
        Result(check("signals/16/term"), Outcome.FAIL, seen, lines, (run(hostile=hostile),), 2.0),
        Result(
            check("signals/19/twice", level=Level.SHOULD), Outcome.FAIL, seen, lines, (run(),), 1.0
        ),
        Result(check("signals/20/child"), Outcome.NOT_APPLICABLE, hostile or "no fixture"),
        Result(check("storage/40/manifest"), Outcome.ERROR, "a bug of the suite", lines),
        Result(check("logs/46/lines"), Outcome.PASS, round_number=1),
        Result(check("logs/46/lines"), Outcome.FAIL, seen, lines, (run(),), round_number=2),
        strict=strict,
        command=("agent", hostile) if hostile else ("agent",),
    )

"""Rules 36 to 40: what lies in staging, at every instant. Rules 41, 42 are in `publication`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

from baqup_agent.conformance import confined
from baqup_agent.conformance.check import check
from baqup_agent.conformance.endings import require_success, require_valid_output
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.seen import Place
from baqup_agent.conformance.strace import MOVES, slowed
from baqup_agent.conformance.timeline import Entry
from baqup_agent.conformance.verdicts import NotApplicable, require

#: Seconds by which each step of a publication is delayed, where that can be done: most kills
#: would otherwise strike before or after it.
STEP_S = 0.05

#: The same where a kill has to strike between two steps: longer than the kernel's word takes to
#: reach us on a busy machine.
_WINDOW_S = 1.0

#: Exit codes of output that cannot be made (Contract §5).
_OUTPUT_CODES = (73, 74)

#: Ways in which staging is spoiled, and what each is for a person.
_SPOILED = {
    "forbidden": "a staging directory without the right to write (EACCES)",
    "read-only": "a read-only staging directory (EROFS)",
    "full": "a full disk (ENOSPC)",
}

#: Attempts to strike in a window, or to see all that happens, before the check gives up.
ATTEMPTS = 4

#: Files of a job's directory that are not its output.
_ASIDE = (".staging", ".baqup-status.json")


@check(
    "storage/36/kill-sweep",
    rule="At every instant, a manifest that is there means that every artifact is there and "
    "intact: SIGKILL included.",
    source="Contract §1, §4",
    how="The agent is killed at moments drawn over the whole of a run, most of them during the "
    "publication, which strace slows down where it may trace; what is left is held against the "
    "manifest, if there is one.",
    remedy="Write and sync everything in .staging, move the artifacts, and move the manifest last.",
    limit_s=300.0,
)
def _kill_sweep(lab: Lab) -> None:
    whole = lab.run(below=slowed((*MOVES, "rmdir", "unlinkat"), STEP_S))
    require_success(whole)
    begins_s, ends_s = _span(whole)
    count = lab.count(8, 60)
    for step, part in enumerate(lab.offsets(1.0, count)):
        early = step % 4 == 0  # one in four over the whole run, the others while it publishes
        moment_s = part * ends_s if early else begins_s + part * (ends_s - begins_s)
        run = lab.run(below=slowed((*MOVES, "rmdir", "unlinkat"), STEP_S))
        run.signal_at(moment_s, SIGKILL)
        _kill(run)
        if run.manifest() is not None:
            require_valid_output(run, f"killed {moment_s * 1000:.0f} ms after its start")


def _span(run: Run) -> tuple[float, float]:
    """Return when a run began to write to staging and when it ended, seconds after its start."""
    files = run.timeline.entries("file")
    ended = run.timeline.entries("exit")[0].at_s
    begun = files[0].at_s if files else run.started_at_s
    return begun - run.started_at_s, ended - run.started_at_s


@check(
    "storage/37/kill-before-the-manifest",
    rule="A job that is killed after its artifacts were moved and before its manifest was is not "
    "complete, and nothing says that it is.",
    source="Contract §4",
    how="strace, where it may trace, slows down each move; the agent is killed as soon as an "
    "artifact is in its place. Manifest, status and state are looked at.",
    remedy="Report success, and enter terminated, only when the manifest is in its place.",
)
def _kill_before_the_manifest(lab: Lab) -> None:
    for _ in range(ATTEMPTS):
        run = _killed_before_the_manifest(lab)
        if run is None:
            continue
        said = (run.status() or {}).get("status")
        require(said in (None, "failed"), f"without a manifest, its status says {said!r}")
        state = run.states()[-1:]
        require(state != ["terminated"], "without a manifest, it says that it is terminated")
        return
    raise NotApplicable(
        "its manifest followed its artifacts too soon to strike between them; install strace"
    )


def _killed_before_the_manifest(lab: Lab) -> Run | None:
    """Kill a run between its artifacts and its manifest; None if that came too late."""
    tracer = slowed(MOVES, _WINDOW_S)
    run = lab.run(below=tracer)
    _await_published(run)
    if tracer:  # time for a word that comes too soon
        run.pause(_WINDOW_S / 3)
    _kill(run)
    return None if run.manifest() is not None else run


def _await_published(run: Run) -> None:
    """Wait for the first file beside .staging.

    Raises:
        Violation: the job ended without any, or it was not in time.
    """
    within_s = 60.0
    found = run.timeline.wait(
        lambda: next(published(run), None) or (run.ended or None), time.monotonic() + within_s
    )
    if found is None:
        run.fail(f"no artifact was published within {within_s:g} s")
    if found is True:
        run.settle()
        if next(published(run), None) is None:
            run.fail(f"it ended ({run.end_words()}) and published nothing")


def published(run: Run) -> Iterator[Entry]:
    """Yield what came to be, or left, in the job's directory itself."""
    for entry in run.timeline.entries("file"):
        job, _, name = entry.data[1].partition("/")
        if job == run.job_id and name and "/" not in name and name not in _ASIDE:
            yield entry


@check(
    "storage/38/rerun-after-a-kill",
    rule="A job that was killed can be run again: it succeeds, and nothing of the first run is "
    "mixed into what it publishes.",
    source="Contract §1, §4",
    how="A job is killed in running, another one between artifacts and manifest; what is left in "
    "staging is overwritten with marks, and the same job is run again.",
    remedy="Begin with an empty .staging, and replace what lies in the job's directory without a "
    "manifest.",
    limit_s=180.0,
)
def _rerun_after_a_kill(lab: Lab) -> None:
    for where, run in (
        ("in running", _killed_in_running(lab)),
        ("before its manifest was moved", _killed_before_the_manifest(lab)),
    ):
        if run is None:  # it published everything before it died: there is nothing to run again
            continue
        mark = lab.random.randbytes(32)
        _leave(run, mark)
        again = lab.run(again=run)
        require_success(again, f"killed {where} and run again")
        require_valid_output(again, f"killed {where} and run again")
        mixed = [path.name for path in _output(again) if mark in path.read_bytes()]
        require(not mixed, f"leftovers of the run killed {where} are in its output", mixed)


def _killed_in_running(lab: Lab) -> Run | None:
    run = lab.run(fixture=lab.described("slow"), below=slowed(MOVES, 0.3))
    run.wait_for(state="running")
    run.wait_for_file(".staging")
    _kill(run)
    return None if run.manifest() is not None else run


def _leave(run: Run, mark: bytes) -> None:
    """Put marks into what a killed run left, and where a run killed sooner would have left more."""
    work = run.job_dir / ".staging"
    with contextlib.suppress(FileExistsError):
        work.mkdir(parents=True)
    published = _output(run)
    unfinished = [work / path.name for path in published]
    for path in (*work.iterdir(), *published, *unfinished, work / "left-over.part"):
        if path.is_file() or not path.exists():
            path.write_bytes(mark * 64)


def _output(run: Run) -> list[Path]:
    return [path for path in run.job_dir.iterdir() if path.is_file() and path.name not in _ASIDE]


@check(
    "storage/39/output-impossible",
    rule="Output that cannot be created or written ends the job with 73 or 74, and without a "
    "manifest.",
    source="Contract §5",
    how="A job is run with a staging directory that it may not write to, with a read-only one, "
    "and with a full one, as far as the machine allows to make these.",
    remedy="Let the errors of the system decide: 73 where nothing can be created, 74 where "
    "writing fails.",
)
def _output_impossible(lab: Lab) -> None:
    judged = 0
    for kind, words in _SPOILED.items():
        judged += _spoiled(lab, kind, words)
    if judged == 0:
        raise NotApplicable("this machine lets us spoil no staging directory")


def _spoiled(lab: Lab, kind: str, words: str) -> bool:
    """Run a job with a spoiled staging directory; False if the machine cannot make one."""

    def confine(place: Place) -> tuple[str, ...]:
        (place.root / "kept").mkdir()
        if kind == "forbidden":
            place.staging.chmod(0o555)
        words = (kind, str(place.staging), str(place.root / "kept"))
        return (sys.executable, "-I", "-S", confined.__file__, *words)

    run = lab.run(below=confine)
    code = run.exit_code()
    kept = run.place.root / "kept"
    if (kept / "refused").exists():
        return False
    if code not in _OUTPUT_CODES:
        run.fail(f"on {words} it ended with {run.end_words()}; 73 or 74 is asked for")
    for root in (kept, run.place.staging):
        found = [str(path.relative_to(root)) for path in root.rglob("manifest.json")]
        left = [name for name in found if ".staging" not in name]
        require(not left, f"on {words} it published a manifest", left)
    said = (run.status() or {}).get("status")
    require(said == "failed", f"on {words} its status says {said!r}; failed is asked for")
    return True


@check(
    "storage/40/manifest-matches",
    rule="What is published is what the manifest lists: sizes and checksums match, every file is "
    "listed, and none is a link or lies elsewhere.",
    source="Contract §4",
    how="A job is run to its end, and its directory held against the "
    "manifest by its schema, by sizes, by hashes and by what else lies there.",
    remedy="Take size and checksum of the bytes as stored, list all artifacts, and publish "
    "regular files by plain names.",
)
def _manifest_matches(lab: Lab) -> None:
    run = lab.run()
    require_success(run)
    require_valid_output(run, "in a good job")


def _kill(run: Run) -> None:
    """End an agent and all that it started, as the end of its container does."""
    run.signal(SIGKILL)
    for one in run.survivors():
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, SIGKILL)
    run.exit_code()
    run.close()

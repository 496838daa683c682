"""Rules 41 and 42: the order in which output comes into its place, and to the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from baqup_agent.conformance.check import check
from baqup_agent.conformance.checks.storage import ATTEMPTS, STEP_S, published
from baqup_agent.conformance.endings import require_success
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.strace import MOVES, SYNCS, WRITES, Call, calls_in, slowed, traced
from baqup_agent.conformance.verdicts import NotApplicable, Violation, require


@check(
    "storage/41/manifest-last",
    rule="The manifest comes into its place whole, by a move, and after everything else.",
    source="Contract §4",
    how="The kernel tells (inotify) what happens in the job's directory, in its order; strace, "
    "where it may trace, slows the moves down so that nothing is missed.",
    remedy="Write the manifest in .staging and rename it last.",
)
def _manifest_last(lab: Lab) -> None:
    tracer = slowed(MOVES, STEP_S)
    patient = None if tracer else lab.described("slow")
    for _ in range(ATTEMPTS):
        run = lab.run(below=tracer, fixture=patient)
        require_success(run)
        if _seen_from_the_start(run):
            _judge_order(run)
            return
    raise NotApplicable(
        "it published before the kernel told of its directory; install strace, or describe "
        "[fixtures.slow]"
    )


def _seen_from_the_start(run: Run) -> bool:
    """Tell whether the job's directory was watched before anything was published in it."""
    return any(
        word in ("written", "moved here", "moved away", "deleted")
        and path.startswith(f"{run.job_id}/")
        for word, path in _until_manifest(run)
    )


def _until_manifest(run: Run) -> Iterator[tuple[str, str]]:
    for entry in run.timeline.entries("file"):
        yield entry.data
        if entry.data[1] == f"{run.job_id}/manifest.json":
            return


def _judge_order(run: Run) -> None:
    order = [entry.data for entry in published(run)]
    told = [f"{path.partition('/')[2]} {word}" for word, path in order]
    manifest = [at for at, (_, path) in enumerate(order) if path.endswith("/manifest.json")]
    require(manifest, "no manifest came into its place", told)
    require(
        "manifest.json written" not in told,  # a link only creates it
        "the manifest was made in its place, where it can be seen half written; move it there",
        told,
    )
    later = told[manifest[0] + 1 :]
    require(not later, "after the manifest came into its place, something was changed there", told)


@check(
    "storage/42/synced",
    rule="Every file is synced before it is moved to its place, and the directory after the "
    "artifacts' moves and after the manifest's.",
    source="Contract §4",
    how="strace tells the calls of one run; the last write to each published file, its sync, its "
    "move and the syncs of the directory have to be in that order.",
    remedy="fsync each file when it is written, and the job's directory after the artifacts were "
    "moved and again after the manifest was.",
)
def _synced(lab: Lab) -> None:
    run = lab.run(below=lambda place: traced(place.root / "calls", (*MOVES, *SYNCS, *WRITES)))
    require_success(run)
    calls = calls_in(run.place.root / "calls")
    moves = {
        Path(call.paths[-1]).name: call
        for call in calls
        if call.name in MOVES and _is_in(call.paths[-1:], run.job_dir)
    }
    manifest = moves.pop("manifest.json", None)
    if manifest is None:
        raise Violation("the manifest was not moved into its place", _words(moves.values()))
    for name, move in (*moves.items(), ("manifest.json", manifest)):
        _require_synced(calls, name, move)
    _require_directory_synced(calls, run.job_dir, list(moves.values()), manifest)


def _is_in(paths: tuple[str, ...], directory: Path) -> bool:
    return any(Path(path).parent == directory for path in paths)


def _words(moves: object) -> list[str]:
    return [f"{call.name} {' '.join(call.paths)}" for call in moves]  # type: ignore[attr-defined]


def _require_synced(calls: list[Call], name: str, move: Call) -> None:
    """Require that a file was synced after its last write and before its move."""
    source = move.paths[0]
    changed = [one.ended for one in calls if one.name in WRITES and one.paths[:1] == (source,)]
    since = max((one for one in changed if one < move.began), default=-1)
    synced = any(
        since < one.began and one.ended <= move.began for one in calls if _syncs(one, source)
    )
    require(synced, f"{name} was moved to its place before it was synced")


def _require_directory_synced(
    calls: list[Call], directory: Path, moves: list[Call], manifest: Call
) -> None:
    syncs = [one for one in calls if _syncs(one, str(directory))]
    moved = max((one.ended for one in moves), default=-1)
    require(
        not moves or any(moved <= one.began and one.ended <= manifest.began for one in syncs),
        "the directory was not synced between the artifacts' moves and the manifest's",
    )
    require(
        any(one.began >= manifest.ended for one in syncs),
        "the directory was not synced after the manifest's move",
    )


def _syncs(call: Call, path: str) -> bool:
    """Tell whether a call brings a path to the disk."""
    return call.name in ("sync", "syncfs") or (call.name in SYNCS and call.paths[:1] == (path,))

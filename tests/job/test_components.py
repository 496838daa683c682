"""Parts of a job that fail one by one, one after the other and side by side (Contract §5)."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.contract import PartialFailureMode, Role
from baqup_agent.errors import JobCancelled, SourceUnavailable
from baqup_agent.job.job import Job
from baqup_agent.staging.area import Staging
from tests.agents.fs.jobs import Run

#: Longest wait for another thread; never reached where all is well.
PATIENCE_S = 10


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job[Any]]:
    """A job whose staging is prepared."""
    run = Run(Role.SNAPSHOT, tmp_path, {})
    run.staging.prepare()
    yield run.job
    run.staging.close()


def write(job: Job[Any], name: str) -> None:
    with job.staging.artifact(name) as out:
        out.write(b"content of " + name.encode())


def sealed(staging: Staging) -> list[str]:
    return [artifact.filename for artifact in staging.artifacts]


def ended(job: Job[Any]) -> dict[str, tuple[str, str | None]]:
    """How each component ended, and its artifact."""
    wire = job.components.to_wire(PartialFailureMode.FAIL)
    return {each["name"]: (each["status"], each.get("artifact")) for each in wire}


def in_thread(function: Callable[[], object], context: contextvars.Context | None = None) -> None:
    """Run a function in another thread to its end."""
    target = function if context is None else lambda: context.run(function)
    thread = threading.Thread(target=target)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def fail() -> None:
    raise SourceUnavailable("it is gone")


def test_a_failed_component_takes_its_own_artifacts_along(job: Job[Any]) -> None:
    """All that it completed goes, with every part; what was there before and comes after stays."""
    write(job, "before")
    with job.component("bad"):
        write(job, "one")
        write(job, "two")
        fail()
    with job.component("good"):
        write(job, "one")

    assert sealed(job.staging) == ["before", "one"]
    assert ended(job) == {"bad": ("failed", None), "good": ("succeeded", "one")}


@pytest.mark.parametrize("order", ["good ends first", "bad ends first"])
def test_a_failed_component_spares_what_another_one_wrote_meanwhile(
    job: Job[Any], order: str
) -> None:
    """Two databases dumped side by side: one that is gone does not take the other's dump along."""
    began, done = threading.Event(), threading.Event()

    def bad() -> None:
        with job.component("bad"):
            write(job, "bad.sql")
            began.set()
            assert done.wait(PATIENCE_S)
            fail()

    def good() -> None:
        with job.component("good"):
            assert began.wait(PATIENCE_S)
            write(job, "good.sql")
            if order == "bad ends first":
                done.set()
                thread.join(PATIENCE_S)

    thread = threading.Thread(target=bad)
    thread.start()
    in_thread(good)
    done.set()
    thread.join(PATIENCE_S)

    assert sealed(job.staging) == ["good.sql"]
    assert ended(job) == {"bad": ("failed", None), "good": ("succeeded", "good.sql")}


def test_a_thread_without_a_context_writes_for_the_only_component(job: Job[Any]) -> None:
    """An author's plain worker thread is the component's as long as there is no doubt."""
    with job.component("bad"):
        in_thread(lambda: write(job, "worker"))
        fail()
    in_thread(lambda: write(job, "nobody's"))
    with job.component("bad too"):
        fail()

    assert sealed(job.staging) == ["nobody's"]


def test_a_thread_without_a_context_writes_for_nobody_where_there_are_several(
    job: Job[Any],
) -> None:
    """Rather an artifact too many than one that succeeded and is missing."""
    with job.component("bad"):

        def good() -> None:
            with job.component("good"):
                in_thread(lambda: write(job, "whose"))

        in_thread(good)
        fail()

    assert sealed(job.staging) == ["whose"]


def test_a_thread_in_a_copy_of_the_context_writes_for_its_component(job: Job[Any]) -> None:
    """So an author can say whose artifact it is, whatever goes on beside."""
    with job.component("good"):

        def bad() -> None:
            with job.component("bad"):
                in_thread(lambda: write(job, "bad.sql"), contextvars.copy_context())
                fail()

        in_thread(bad)
        in_thread(lambda: write(job, "good.sql"), contextvars.copy_context())

    assert sealed(job.staging) == ["good.sql"]
    assert ended(job) == {"bad": ("failed", None), "good": ("succeeded", "good.sql")}


def test_a_component_holds_those_inside_it(job: Job[Any]) -> None:
    """The inner one's failure is its own; the outer one's takes all along."""
    with job.component("outer"):
        write(job, "outer")
        with job.component("inner bad"):
            write(job, "inner bad")
            in_thread(lambda: write(job, "its worker's"))
            fail()
        assert sealed(job.staging) == ["outer"]
        with job.component("inner good"):
            write(job, "inner good")
        fail()

    assert sealed(job.staging) == []


def test_an_artifact_begun_outside_and_completed_inside_belongs_to_the_component(
    job: Job[Any],
) -> None:
    """What counts for a thread is what it works on when it seals, too."""
    out = job.staging.artifact("late")
    with job.component("bad"):
        with out:
            out.write(b"x")
        fail()

    assert sealed(job.staging) == []


def test_a_cancelled_component_leaves_no_trace_in_what_follows(job: Job[Any]) -> None:
    """What a thread writes after a component belongs to it no longer, however it ended."""
    with pytest.raises(JobCancelled), job.component("cancelled"):
        raise JobCancelled
    write(job, "after")
    with job.component("bad"):
        fail()

    assert sealed(job.staging) == ["after"]
    assert ended(job) == {"bad": ("failed", None)}


def test_a_component_may_end_in_another_context(job: Job[Any]) -> None:
    """A block that is left by another thread is odd, but no error."""
    block = job.component("moved")
    in_thread(block.__enter__)
    block.__exit__(None, None, None)

    assert ended(job) == {"moved": ("succeeded", None)}

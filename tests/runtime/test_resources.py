"""Memory is watched, and a job that takes too much is told of and ended (Contract §7)."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from baqup_agent import Logger
from baqup_agent.config.settings import AgentSettings
from baqup_agent.contract import EVENT_CODES
from baqup_agent.errors import LimitExceeded
from baqup_agent.observability.sink import NullLog
from baqup_agent.runtime import resources
from baqup_agent.runtime.resources import (
    MemoryLimit,
    MemoryWatch,
    memory_limits,
    parallelism,
    warn_of_root,
)
from baqup_agent.security.limits import process_memory_bytes
from tests.agent_process import AgentProcess
from tests.runtime.conftest import Act
from tests.security.test_limits import real_group
from tests.spec import assert_keeps

#: A fixture that a test asks for by name.
FIXTURES = (real_group,)

MIB = 1 << 20
HUNGRY_ACTOR = Path(__file__).parent / "hungry_actor.py"


class Scene:
    """A watch over usages that a test sets."""

    def __init__(self, *limits: MemoryLimit) -> None:
        self.used: int | Exception = 0
        self.events: list[tuple[str, str]] = []
        self.errors: list[LimitExceeded] = []
        self.stream = io.StringIO()
        self.watch = MemoryWatch(
            limits or (self.limit(),),
            tell=lambda code, message: self.events.append((code, message)),
            exceed=self.errors.append,
            log=Logger("", "agent-x", stream=self.stream),
        )

    def limit(self, abort_bytes: int = 1000 * MIB) -> MemoryLimit:
        return MemoryLimit("the limit", 1000 * MIB, abort_bytes, self._usage, "take less")

    def _usage(self) -> int:
        if isinstance(self.used, Exception):
            raise self.used
        return self.used

    def at(self, mib: int) -> list[str]:
        """Look while so much is in use; returns the codes that were told."""
        before = len(self.events)
        self.used = mib * MIB
        self.watch.check()
        return [code for code, _ in self.events[before:]]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


NEAR, OVER = ["RESOURCE_LIMIT_APPROACHING"], ["RESOURCE_LIMIT_EXCEEDED"]


def test_an_approach_is_told_of_once() -> None:
    """From 80 % on, however long it stays there and however it trembles."""
    scene = Scene()

    assert [scene.at(mib) for mib in (100, 799)] == [[], []]
    assert scene.at(800) == NEAR
    assert [scene.at(mib) for mib in (900, 1000, 799, 801, 760)] == [[]] * 5
    assert scene.errors == []


def test_a_second_approach_is_told_of_again() -> None:
    """After the usage had clearly fallen, it is news."""
    scene = Scene()

    assert [scene.at(mib) for mib in (850, 749, 790, 850)] == [NEAR, [], [], NEAR]


def test_more_than_the_limit_ends_the_job_once() -> None:
    """The error names usage, limit and remedy; nothing is told after it."""
    scene = Scene()

    assert scene.at(1001) == OVER
    assert [scene.at(mib) for mib in (2000, 100, 900)] == [[]] * 3
    (error,) = scene.errors
    assert error.exit_code == 65
    assert error.code in EVENT_CODES
    assert error.message == "memory: 1001 MiB in use, over the limit (1000 MiB)"
    assert error.suggestions == ("take less",)
    assert scene.events == [(error.code, error.message)]


def test_a_jump_over_the_limit_needs_no_approach() -> None:
    """What grows quickly was never close."""
    assert Scene().at(5000) == OVER


def test_the_limit_of_the_kernel_is_not_used_to_the_end() -> None:
    """A process that the kernel has killed reports nothing, so the job ends before that."""
    scene = Scene()
    scene.watch.limits = [scene.limit(abort_bytes=950 * MIB)]

    assert [scene.at(mib) for mib in (850, 950, 951)] == [NEAR, [], OVER]


@pytest.mark.parametrize("trouble", [OSError(2, "gone"), ValueError("no number")])
def test_a_limit_that_cannot_be_read_is_given_up(trouble: Exception) -> None:
    """One warning, and the other limits are watched on."""
    scene = Scene()
    other = Scene()
    scene.watch.limits = [scene.limit(), other.limit()]
    scene.used = trouble

    scene.watch.check()
    other.used = 5000 * MIB
    scene.watch.check()

    assert [line["level"] for line in scene.log] == ["warn"]
    assert scene.log[0]["message"] == "the limit is not watched any more"
    assert [code for code, _ in scene.events] == OVER


def test_by_default_only_the_kernel_limits_a_job(tmp_path: Path) -> None:
    """`auto` and 0 set no bound of their own."""
    for word in ("auto", "0"):
        assert memory_limits(AgentSettings(memory_limit=word), tmp_path) == []


@pytest.mark.parametrize(
    ("text", "limit_bytes"), [("512M", 512 * MIB), ("2G", 2 << 30), ("4096", 4096), ("1KiB", 1024)]
)
def test_a_limit_of_ones_own_bounds_the_process(
    tmp_path: Path, text: str, limit_bytes: int
) -> None:
    """It holds for what the process itself has, and is used to the end."""
    (tmp_path / "status").write_text("RssAnon:\t 1024 kB\nRssFile:\t 9999 kB\n")
    (limit,) = memory_limits(AgentSettings(memory_limit=text), tmp_path)

    assert (limit.limit_bytes, limit.abort_bytes) == (limit_bytes, limit_bytes)
    assert limit.name == f"BAQUP_AGENT_MEMORY_LIMIT={text}"
    assert limit.used_bytes() == MIB


def test_the_container_limits_a_job_beside_its_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel will not ask what the variable says; less the last twentieth without swap."""
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "mountinfo").write_text(f"35 31 0:32 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "memory.max").write_text(f"{1000 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{800 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"inactive_file {300 * MIB}\n")
    (tmp_path / "status").write_text("VmRSS:\t 1024 kB\n")
    for swaps, abort in ((False, 950), (True, 1000)):
        monkeypatch.setattr(resources.MemoryGroup, "swaps", lambda _self, swaps=swaps: swaps)
        own, group = memory_limits(AgentSettings(memory_limit="2G"), tmp_path)

        assert own.limit_bytes == 2 << 30
        assert (group.limit_bytes, group.abort_bytes) == (1000 * MIB, abort * MIB)
        assert group.used_bytes() == 500 * MIB


def test_parallelism_is_what_is_configured_or_what_there_is(tmp_path: Path) -> None:
    """0 lets the machine decide."""
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "mountinfo").write_text(f"35 31 0:32 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cpu.max").write_text("10000 100000\n")

    assert parallelism(AgentSettings(parallelism=7), tmp_path) == 7
    assert parallelism(AgentSettings(parallelism=0), tmp_path) == 1
    assert parallelism(AgentSettings()) >= 1


@pytest.mark.parametrize(("uid", "lines"), [(0, 1), (1000, 0), (65534, 0)])
def test_root_is_warned_of(uid: int, lines: int) -> None:
    """One line for uid 0, with the remedy; nobody else is troubled."""
    stream = io.StringIO()
    warn_of_root(Logger("", "agent-x", stream=stream), uid)

    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in written] == ["warn"] * lines
    assert all("uid 1000" in line["message"] for line in written)


def test_root_is_told_by_the_process_itself() -> None:
    """A real process that gives root up is not warned of any more."""
    program = (
        "import os, sys; from baqup_agent import Logger\n"
        "from baqup_agent.runtime.resources import warn_of_root\n"
        "warn_of_root(Logger('', 'a', stream=sys.stdout)); sys.stdout.flush()\n"
        "if os.geteuid() == 0: os.setuid(1000)\n"
        "print('now', flush=True); warn_of_root(Logger('', 'a', stream=sys.stdout))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    before, _, after = done.stdout.partition(b"now\n")

    assert (b"as root" in before) == (resources.os.geteuid() == 0)
    assert after == b""


def hungry(act: Act, name: str, **environ: str) -> AgentProcess:
    return act(name, program=HUNGRY_ACTOR, environ=environ)


def test_a_job_that_takes_too_much_is_aborted(act: Act) -> None:
    """Warned of first, then ended with 65; event and error tell why, and nothing is published."""
    run = hungry(act, "grow", BAQUP_AGENT_MEMORY_LIMIT="160M")

    assert run.wait() == 65
    assert run.status["status"] == "failed"
    error = run.status["error"]
    assert error["code"] == "RESOURCE_LIMIT_EXCEEDED"
    assert error["category"] == "permanent"
    assert "over BAQUP_AGENT_MEMORY_LIMIT=160M (160 MiB)" in error["message"]
    assert "raise BAQUP_AGENT_MEMORY_LIMIT" in error["suggestions"][0]
    told = [(event["code"], event["severity"], event["count"]) for event in run.of("event")]
    assert told == [
        ("RESOURCE_LIMIT_APPROACHING", "warn", 1),
        ("RESOURCE_LIMIT_EXCEEDED", "error", 1),
    ]
    assert run.manifest is None
    assert run.states == ["initializing", "running", "failed"]
    for event in run.of("event"):
        assert_keeps("event", event)


def test_a_container_is_left_before_the_kernel_kills(act: Act, real_group: Path) -> None:
    """What children take counts too: the job ends with a report, not by SIGKILL."""
    enter = f'echo $$ > "{real_group}/cgroup.procs" && exec "$@"'
    run = act("share", program=["sh", "-c", enter, "sh", sys.executable, str(HUNGRY_ACTOR)])

    assert run.wait() == 65
    assert run.status["error"]["code"] == "RESOURCE_LIMIT_EXCEEDED"
    assert "the memory limit of the container (256 MiB)" in run.status["error"]["message"]
    (taken,) = [line["context"]["own_mib"] for line in run.log if line["message"] == "taken"]
    assert taken < 256 * 0.8


def test_a_job_that_comes_close_is_warned_of_and_succeeds(act: Act) -> None:
    """Close is not over."""
    run = hungry(act, "come-close", BAQUP_AGENT_MEMORY_LIMIT="160M")

    assert run.wait() == 0
    assert run.status["warnings_summary"] == {"RESOURCE_LIMIT_APPROACHING": 1}


def test_a_job_within_its_limit_hears_nothing(act: Act) -> None:
    """A modest job under a generous limit."""
    run = hungry(act, "write", BAQUP_AGENT_MEMORY_LIMIT="2G")

    assert run.wait() == 0
    assert run.of("event") == []


def test_a_look_costs_next_to_nothing() -> None:
    """Once a second, in a thread that has other things to do."""
    limit = MemoryLimit("x", 1 << 60, 1 << 60, process_memory_bytes, "")
    watch = MemoryWatch([limit], lambda *_: None, lambda _: None, NullLog())
    begun_s = time.perf_counter()
    for _ in range(200):
        watch.check()
    each_s = (time.perf_counter() - begun_s) / 200

    print(f"{each_s * 1e6:.0f} us for a look")
    assert each_s < 0.02

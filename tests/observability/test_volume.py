"""A repeated line is counted instead of written (Contract §6)."""

from __future__ import annotations

import io
import json
import sys
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from baqup_agent import Logger
from baqup_agent.observability.volume import BURST, BURST_DETAILED, KINDS_MAX
from tests.observability.clocks import ManualClock


class Scene:
    def __init__(self, level: str = "trace") -> None:
        self.clock = ManualClock()
        self.stream = io.StringIO()
        self.logger = Logger("j", "a", level, stream=self.stream, clock=self.clock)

    @property
    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.records]


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.logger.close()


def test_a_flood_is_one_burst_and_one_count(scene: Scene) -> None:
    """After the burst lines are only counted; the next line of any kind tells how many."""
    for number in range(BURST + 500):
        scene.logger.warn("slow", number=number)
    assert scene.messages == ["slow"] * BURST

    scene.clock.pass_s(1)
    scene.logger.info("other")

    summary, other = scene.records[BURST:]
    assert summary["message"] == "slow (repeated 500 times more)"
    assert summary["level"] == "warn"
    assert summary["context"] == {"repeated": 500}
    assert other["message"] == "other"


def test_a_line_that_is_not_repeated_is_not_summed_up(scene: Scene) -> None:
    """Only lines that were held back are told of."""
    scene.logger.info("once")
    scene.clock.pass_s(2)
    scene.logger.info("later")
    scene.logger.close()

    assert scene.messages == ["once", "later"]


def test_each_second_begins_anew(scene: Scene) -> None:
    """A flood that goes on is told of once a second, with a burst of samples."""
    for _ in range(3):
        for _ in range(BURST + 1):
            scene.logger.info("again")
        scene.clock.pass_s(1)
    scene.logger.close()

    assert scene.messages == 3 * [*["again"] * BURST, "again (repeated 1 times more)"]


def test_digits_in_a_message_make_no_difference(scene: Scene) -> None:
    """A line that counts up is a repetition; one of another level or component is none."""
    for number in range(BURST + 1):
        scene.logger.info(f"file {number} of 99")
    scene.logger.warn("file 1 of 99")
    scene.logger.bind("elsewhere").info("file 1 of 99")
    scene.logger.info("file x of 99")

    assert len(scene.records) == BURST + 3


def test_details_are_let_through_in_greater_number() -> None:
    """Whoever asks for debug wants to see each file; even so it ends somewhere."""
    scene = Scene()
    for number in range(BURST_DETAILED + 7):
        scene.logger.debug("stored", path=f"/x/{number}")
    scene.logger.close()

    assert scene.messages[:-1] == ["stored"] * BURST_DETAILED
    assert scene.messages[-1] == "stored (repeated 7 times more)"


def test_what_is_not_written_is_not_counted_either() -> None:
    """Lines below the level leave no trace."""
    scene = Scene("warn")
    for _ in range(BURST * 2):
        scene.logger.info("x")
    scene.logger.close()

    assert scene.records == []


def test_the_rest_is_told_at_the_end_and_when_asked_for(scene: Scene) -> None:
    """Nothing is lost by the end of a run, and nothing is told twice."""
    for _ in range(BURST + 3):
        scene.logger.info("x")
    scene.logger.summarize()
    scene.logger.summarize()
    scene.logger.close()

    assert scene.messages[BURST:] == ["x (repeated 3 times more)"]


def test_many_kinds_of_line_cost_flat_memory(scene: Scene) -> None:
    """However many different lines there are in one instant, none of them is kept."""
    scene.stream.close()  # what is written is not what is measured
    for number in range(KINDS_MAX * 2):
        scene.logger.info("x" * (number + 1))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(KINDS_MAX * 5):
            scene.logger.bind(f"c{number}").info("line")
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 100_000


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_no_line_is_lost_between_threads(impatient: None) -> None:
    """Written and counted lines add up, whoever wrote them."""
    scene = Scene()

    def flood() -> None:
        for _ in range(500):
            scene.logger.info("x")
            scene.logger.summarize()

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scene.logger.close()

    told = sum(record["context"].get("repeated", 1) for record in scene.records)
    assert told == 2000


def test_a_long_message_is_shortened_only_after_its_secrets_are_gone() -> None:
    """Half a secret would not be recognised any more."""
    from baqup_agent import Secret
    from baqup_agent.observability.logger import SUMMARY_MAX

    scene = Scene()
    scene.logger.redactor.add(Secret("correct-horse-battery"))
    for _ in range(BURST + 1):
        scene.logger.info("x" * (SUMMARY_MAX - 5) + "correct-horse-battery")
    scene.logger.close()

    assert scene.messages[-1] == "x" * (SUMMARY_MAX - 5) + "[REDA (repeated 1 times more)"

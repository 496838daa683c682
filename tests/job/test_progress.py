"""Progress: monotone, coalesced, complete at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.job.progress import PUBLISH_EVERY_S, Progress
from baqup_agent.testing import ManualClock


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.published: list[dict[str, object]] = []
        self.progress = Progress(lambda **members: self.published.append(members), self.clock)


def test_the_first_update_is_published_at_once_and_the_rest_a_few_times_a_second() -> None:
    """A million calls cost a handful of messages; what is left out keeps its value."""
    scene = Scene()
    for count in range(1, 1001):
        scene.progress.update(bytes_processed=count, current_file="a" if count == 1 else None)
        scene.clock.advance(PUBLISH_EVERY_S / 100)

    assert len(scene.published) == 10
    assert scene.published[0] == {"bytes_processed": 1, "current_file": "a"}
    assert scene.published[-1]["current_file"] == "a"


def test_a_flush_publishes_what_is_new_and_nothing_twice() -> None:
    """The last values always get out; a second flush has nothing to say."""
    scene = Scene()
    scene.progress.update(files_processed=1)
    scene.progress.update(files_processed=2)

    scene.progress.flush()
    scene.progress.flush()

    assert scene.published == [{"files_processed": 1}, {"files_processed": 2}]
    assert scene.progress.files_processed == 2


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(-10, 200))))
def test_counts_and_percentage_never_go_back(updates: list[tuple[int, float]]) -> None:
    """Whatever is reported, what is published grows and stays within 0 and 100."""
    scene = Scene()
    for count, percent in updates:
        scene.progress.update(bytes_processed=count, percent_complete=percent)
        scene.clock.advance(1)

    for name in ("bytes_processed", "percent_complete"):
        seen = [members[name] for members in scene.published]
        assert seen == sorted(seen)
    assert all(0 <= members["percent_complete"] <= 100 for members in scene.published)

"""The threads behind a writer, asked for their end after they were told to stop."""

from __future__ import annotations

import threading

import pytest

from baqup_agent.errors import InternalError
from baqup_agent.staging.pipeline import BUFFER_BYTES, Pipeline, Stage

#: Longest wait for another thread; never reached where all is well.
PATIENCE_S = 10


def nothing() -> None:
    """Do nothing."""


def test_a_stage_that_was_told_to_stop_is_not_complete() -> None:
    """It did not take all, so whoever asks for its end must not believe that it did."""
    finished: list[bool] = []
    stage = Stage(object, 2, lambda _: None, lambda: finished.append(True), nothing)
    stage.start()
    stage.put(stage.token(), b"x")
    stage.abort()

    with pytest.raises(InternalError, match="given up"):
        stage.complete()
    assert not finished


@pytest.mark.parametrize("encode", [bytes, None], ids=["two threads", "one thread"])
def test_a_pipeline_that_is_stopped_by_another_thread_is_not_complete(
    encode: type[bytes] | None,
) -> None:
    """Staging that is closed while an artifact ends: half of it never counts as all."""
    storing, go_on = threading.Event(), threading.Event()
    finished: list[bool] = []

    def store(_piece: object) -> None:
        storing.set()
        assert go_on.wait(PATIENCE_S)

    pipeline = Pipeline(
        encode,
        lambda: b"end",
        store,
        lambda: finished.append(True),
        release=nothing,
        check=nothing,
    )
    pipeline.start()
    pipeline.put(bytearray(BUFFER_BYTES), BUFFER_BYTES)
    assert storing.wait(PATIENCE_S)
    for stage in pipeline._stages:
        stage.abort()
    go_on.set()

    with pytest.raises(InternalError, match="given up"):
        pipeline.complete()
    assert pipeline.abort()
    assert not finished

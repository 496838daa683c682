"""Who is alive: each boundary of Contract §1, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.controller import Action, Life, Liveness, Patience
from baqup_agent.controller.messages import read_message
from tests.controller.wire import at, message

FRESH, LATE, PRESUMED, DEAD, ENDED = Life
PROBE, KILL = Action


def told(watched: Liveness, now_s: float) -> tuple[Life, Action | None]:
    verdict = watched.look(now_s)
    return verdict.life, verdict.action


def heartbeat(second: float, **members):
    made = {**message("heartbeat", 1), "timestamp": at(second), **members}
    return read_message(made)


AGES = [
    (0, FRESH, None),
    (14.999, FRESH, None),
    (15, LATE, None),
    (29.999, LATE, None),
    (30, PRESUMED, PROBE),
    (599, PRESUMED, PROBE),
    (600, DEAD, PROBE),
    (86_400, DEAD, PROBE),
]


@pytest.mark.parametrize(("age_s", "life", "action"), AGES)
def test_the_age_of_the_latest_beat_decides(age_s, life, action):
    """15 s are late, 30 s presumed dead, 10 minutes dead; nobody is killed unasked."""
    watched = Liveness(1000.0)
    watched.beat(1000.0)

    assert told(watched, 1000.0 + age_s) == (life, action)
    assert watched.look(1000.0 + age_s).age_s == pytest.approx(age_s)


@pytest.mark.parametrize(("waited_s", "life", "action"), [(4.999, PRESUMED, None), (5, DEAD, KILL)])
def test_a_probe_without_an_answer_is_death_after_five_seconds(waited_s, life, action):
    """Counted from the moment at which it was sent."""
    watched = Liveness(0.0)
    assert told(watched, 31.0) == (PRESUMED, PROBE)
    watched.probed(31.5)

    assert told(watched, 31.5 + waited_s) == (life, action)


def test_the_kill_is_due_once():
    """Whether it was possible is another matter."""
    watched = Liveness(0.0)
    watched.probed(30.0)
    assert told(watched, 35.0) == (DEAD, KILL)
    watched.killed()

    assert told(watched, 36.0) == (DEAD, None)


@pytest.mark.parametrize("when", ["late", "probed", "killed"])
def test_a_beat_revives(when):
    """At whatever point it comes, everything begins anew."""
    watched = Liveness(0.0)
    if when != "late":
        watched.probed(30.0)
    if when == "killed":
        watched.killed()
    watched.beat(40.0)

    assert told(watched, 40.0) == (FRESH, None)
    assert told(watched, 70.0) == (PRESUMED, PROBE)
    watched.probed(70.0)
    assert told(watched, 75.0) == (DEAD, KILL)


@pytest.mark.parametrize(
    ("expected_s", "due_s"), [(0, 30), (120, 150), (564.9, 594.9), (565, 595), (3600, 595)]
)
def test_an_intent_extends_the_patience_up_to_the_ceiling(expected_s, due_s):
    """An hour announced is ten minutes granted: probed 5 s before, dead on the minute."""
    watched = Liveness(0.0)
    intent = {"operation": "dump", "expected_duration_seconds": expected_s}
    watched.take(heartbeat(1, intent=intent), 0.0)

    assert told(watched, due_s - 0.001) == (LATE, None)
    assert told(watched, due_s) == (PRESUMED, PROBE)
    watched.probed(due_s)
    assert told(watched, due_s + 4.999)[1] is None
    assert told(watched, due_s + 5) == (DEAD, KILL)


def test_an_intent_ends_with_the_beat_that_does_not_repeat_it():
    """It is of the moment."""
    watched = Liveness(0.0)
    intent = {"operation": "dump", "expected_duration_seconds": 500}
    watched.take(heartbeat(1, intent=intent), 0.0)
    watched.take(heartbeat(2), 1.0)

    assert told(watched, 31.0) == (PRESUMED, PROBE)


@pytest.mark.parametrize("broken", ["soon", -5, None, True])
def test_a_broken_intent_extends_nothing(broken):
    """But the beat that carries it is a sign of life."""
    watched = Liveness(0.0)
    intent = {"operation": "dump", "expected_duration_seconds": broken}
    watched.take(heartbeat(1, intent=intent), 20.0)

    assert told(watched, 20.0) == (FRESH, None)
    assert told(watched, 50.0) == (PRESUMED, PROBE)


@pytest.mark.parametrize("state", ["terminated", "failed"])
def test_a_final_state_ends_the_watching(state):
    """What comes later revives nothing."""
    watched = Liveness(0.0)
    watched.take(heartbeat(1, state=state), 1.0)
    watched.take(heartbeat(2, state="running"), 2.0)

    assert told(watched, 10_000.0) == (ENDED, None)


def test_a_status_ends_the_watching():
    """Its agent has said all that it had to say."""
    watched = Liveness(0.0)
    watched.take(read_message(message("status", 1, status="failed")), 1.0)

    assert told(watched, 10_000.0) == (ENDED, None)


def test_progress_and_events_are_no_beats():
    """They may come from a thread that lives while the rest is dead, or from a replay."""
    watched = Liveness(0.0)
    watched.take(read_message(message("progress", 1)), 29.0)
    watched.take(read_message(message("event", 2, code="A")), 29.0)

    assert told(watched, 30.0) == (PRESUMED, PROBE)


@pytest.mark.parametrize("second", [0, 4, 5])
def test_a_beat_that_is_not_later_than_the_last_is_no_sign_of_life(second):
    """A stale notification, or the same hash read again."""
    watched = Liveness(0.0)
    watched.take(heartbeat(5), 0.0)
    watched.take(heartbeat(second, state="failed"), 29.0)

    assert told(watched, 30.0) == (PRESUMED, PROBE)


@pytest.mark.parametrize("second", [5, 4, -3600])
def test_a_beat_with_a_new_number_is_a_sign_of_life_whatever_its_time(second):
    """The agent's clock was set back: it says the latest time again, or an old one."""
    watched = Liveness(0.0)
    watched.take(heartbeat(5, seq=7), 0.0)
    watched.probed(30.0)

    assert watched.take(heartbeat(second, seq=8), 31.0)
    assert told(watched, 45.9) == (FRESH, None)
    assert not watched.take(heartbeat(5, seq=7), 60.0)
    assert not watched.take(heartbeat(4, seq=6), 60.0)
    assert told(watched, 61.0) == (PRESUMED, PROBE)


@pytest.mark.parametrize("skew_s", [-86_400, -60, 0, 60, 86_400])
def test_the_agents_clock_need_not_agree_with_ours(skew_s):
    """Its timestamps are compared with each other only."""
    watched = Liveness(0.0)
    watched.take(heartbeat(skew_s), 0.0)
    watched.take(heartbeat(skew_s + 10), 10.0)

    assert told(watched, 24.9) == (FRESH, None)
    assert told(watched, 25.0) == (LATE, None)


def test_a_beat_that_was_found_stored_is_as_old_as_the_bus_says():
    """Not as young as our finding it."""
    watched = Liveness(0.0)
    watched.take(read_message(message("heartbeat", 1), age_s=20.0), 100.0)

    assert told(watched, 109.9) == (LATE, None)
    assert told(watched, 110.0) == (PRESUMED, PROBE)


def test_silence_while_the_bus_is_away_is_not_the_agents():
    """Its patience begins anew when the bus is back."""
    watched = Liveness(0.0)
    for now_s in range(0, 3600, 10):
        assert watched.look(now_s, seeing=False).life is FRESH

    assert told(watched, 3600.0) == (FRESH, None)
    assert told(watched, 3629.9) == (LATE, None)
    assert told(watched, 3630.0) == (PRESUMED, PROBE)


def test_an_outage_after_the_probe_takes_the_probe_back():
    """Its answer could not arrive."""
    watched = Liveness(0.0)
    watched.probed(30.0)
    watched.look(34.0, seeing=False)

    assert told(watched, 36.0) == (FRESH, None)


def test_the_times_are_parameters():
    """A controller may be less patient."""
    watched = Liveness(0.0, Patience(0.1, 0.3, 0.2, 1.0))
    assert [watched.look(t).life for t in (0.05, 0.1, 0.3)] == [FRESH, LATE, PRESUMED]
    watched.probed(0.3)

    assert told(watched, 0.5) == (DEAD, KILL)


STEPS = st.lists(
    st.tuples(
        st.floats(0, 700, allow_nan=False),
        st.sampled_from(["beat", "stale", "look", "blind", "probe", "final"]),
        st.floats(0, 5000, allow_nan=False),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_the_rules_hold(steps):
    """No kill without a probe 5 s before and 30 s of silence; none at all after the end."""
    watched, now, seconds = Liveness(0.0), 0.0, 0
    alive_s, probed_s, ended, was_blind = 0.0, None, False, False  # told by hand
    for pause_s, what, intent_s in steps:
        now += pause_s
        if what in ("beat", "final"):
            seconds += 1
            watched.take(
                heartbeat(
                    seconds,
                    state="failed" if what == "final" else "running",
                    intent={"operation": "x", "expected_duration_seconds": intent_s},
                ),
                now,
            )
            ended = ended or what == "final"
            alive_s, probed_s = now, None
        elif what == "stale":
            watched.take(heartbeat(seconds), now) if seconds else None
        verdict = watched.look(now, seeing=what != "blind")
        if what == "blind" or was_blind:
            alive_s, probed_s = now, None
        was_blind = what == "blind"
        if what == "probe" and verdict.action is PROBE:
            watched.probed(now)
            probed_s = now
        silent_s = now - alive_s

        assert (verdict.life is ENDED) == ended
        if verdict.action is KILL:
            assert probed_s is not None
            assert now - probed_s >= 5
            assert silent_s >= 35
        if verdict.action is PROBE:
            assert probed_s is None or probed_s == now
            assert silent_s >= 30
        if verdict.life in (FRESH, LATE):
            assert silent_s < 595
        if verdict.life is FRESH:
            assert silent_s < 15

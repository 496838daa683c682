"""All agents of a bus, each with its own picture and its own life."""

from __future__ import annotations

from datetime import timedelta

from baqup_agent import controller
from baqup_agent.clock import timestamp
from baqup_agent.controller import Action, Fleet, Life
from baqup_agent.controller import fleet as fleet_module
from baqup_agent.controller.messages import read_message
from baqup_agent.testing import ManualClock
from tests.controller.runs import JOB_ID
from tests.controller.wire import at, event, message


def told(fleet: Fleet, wire: dict, now_s: float = 0.0, **known):
    return fleet.take(read_message(wire, **known), now_s)


def test_two_attempts_at_a_job_are_two_agents():
    """The first one's silence is not covered by the second one's beats."""
    fleet = Fleet()
    told(fleet, message("heartbeat", 1, agent_id="first", timestamp=at(1)))
    told(fleet, message("heartbeat", 1, agent_id="second", timestamp=at(2)), 25.0)
    told(fleet, event(9, agent_id="second"), 25.0)
    fleet.look(31.0)
    lives = {agent.key.agent_id: agent.verdict.life for agent in fleet}
    events = {agent.key.agent_id: list(agent.picture.events) for agent in fleet}

    assert lives == {"first": Life.PRESUMED_DEAD, "second": Life.FRESH}
    assert events == {"first": [], "second": ["FILE_CHANGED"]}


def test_a_status_ends_its_own_agent_alone():
    """And all others are still owed for."""
    fleet = Fleet()
    for agent_id in ("first", "second"):
        told(fleet, message("heartbeat", 1, agent_id=agent_id))
    told(fleet, message("status", 2, agent_id="first", status="failed"), 1.0)
    fleet.look(31.0)

    assert [agent.ended for agent in fleet] == [True, False]


def test_what_names_no_agent_is_its_jobs_latest_agents():
    """The contract itself knows no ``agent_id`` outside heartbeats."""
    fleet = Fleet()
    told(fleet, message("heartbeat", 1, agent_id="first"))
    told(fleet, message("heartbeat", 1, agent_id="second"))
    nameless = message("status", 2, status="success")
    del nameless["agent_id"]
    agent = told(fleet, nameless, 1.0)

    assert agent.key == (JOB_ID, "second")
    assert len(fleet) == 2


def test_what_a_dead_agent_left_makes_it_nobodys_latest():
    """What names no agent is not ascribed to it."""
    fleet = Fleet()
    told(fleet, message("status", 9, agent_id="dead", status="failed"))
    nameless = message("progress", 2, percent_complete=40)
    del nameless["agent_id"]
    agent = told(fleet, nameless, 1.0)
    fleet.look(2.0)

    assert agent.key == (JOB_ID, "")
    assert not agent.ended


def test_only_what_changed_is_returned():
    """A verdict is told once, with what is to be done."""
    fleet = Fleet()
    told(fleet, message("heartbeat", 1))
    turns = {now_s: fleet.look(float(now_s)) for now_s in (1, 15, 16, 30, 31)}

    assert {now_s: len(changed) for now_s, changed in turns.items()} == {
        1: 0,
        15: 1,
        16: 0,
        30: 1,
        31: 0,
    }
    assert [agent.verdict.action for agent in turns[30]] == [Action.PROBE]


def test_a_heartbeat_that_was_found_has_its_age():
    """In the verdict and in the picture."""
    fleet = Fleet()
    agent = told(fleet, message("heartbeat", 1), 100.0, age_s=20.0)
    fleet.look(100.0)

    assert agent.verdict.life is Life.LATE
    assert agent.picture.last_beat_s == 80.0


def test_while_the_bus_is_away_nobody_grows_late():
    """See `Liveness` for the rule."""
    fleet = Fleet()
    told(fleet, message("heartbeat", 1))

    assert [fleet.look(float(now_s), seeing=False) for now_s in range(0, 100, 10)] == [[]] * 10


def test_the_longest_ended_are_forgotten_first(monkeypatch):
    """A controller may run for years."""
    monkeypatch.setattr(fleet_module, "MAX_AGENTS", 3)
    fleet = Fleet()
    for number in range(5):
        agent_id = f"agent-{number}"
        told(fleet, message("heartbeat", 1, agent_id=agent_id), float(number))
        if number != 1:
            told(fleet, message("status", 2, agent_id=agent_id), float(number))
        fleet.look(float(number))
    fleet.look(5.0)

    assert [agent.key.agent_id for agent in fleet] == ["agent-1", "agent-3", "agent-4"]


def test_every_public_name_of_the_controller_can_be_had():
    """They are loaded when they are asked for."""
    assert sorted(controller.__all__) == sorted(controller._HOMES)
    for name in controller.__all__:
        assert getattr(controller, name).__name__ == name


def test_an_agent_of_which_only_old_events_are_left_is_not_taken_for_living():
    """Its beat has expired; what it said last tells how long it has been silent."""
    clock = ManualClock()
    long_ago = timestamp(clock.now() - timedelta(minutes=10))
    fleet = Fleet(clock=clock)
    told(fleet, event(9, agent_id="dead", timestamp=long_ago), 1000.0)
    fleet.look(1001.0)

    assert [agent.verdict.life for agent in fleet] == [Life.DEAD]

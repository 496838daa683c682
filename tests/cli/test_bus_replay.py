"""``baqup-agent bus replay`` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bus.outbox.boxes import box, crash
from tests.bus.samples import AGENT, JOB
from tests.cli.command import baqup_agent, objects
from tests.controller.test_replay import OTHER, leave, orphan


@pytest.fixture
def left(tmp_path) -> Path:
    """A directory with an outbox of a dead agent, one of a live one, and a status file."""
    leave(tmp_path / "left", "baqup:")
    orphan(tmp_path / "left" / OTHER, job=OTHER)
    return tmp_path / "left"


def bus_of(directory: Path) -> str:
    return f"file://{directory.parent / 'bus'}"


def messages(directory: Path, job: str) -> list[dict]:
    path = directory.parent / "bus" / f"{job}.jsonl"
    return objects(path.read_text()) if path.exists() else []


def test_a_dry_run_tells_what_would_be_sent_and_needs_no_bus(left):
    """Nothing is sent, nothing changed: the replay after it finds it all."""
    dry = baqup_agent("bus", "replay", left, "--dry-run")
    done = baqup_agent("bus", "replay", left, "--bus", bus_of(left))

    assert (dry.returncode, dry.stderr) == (0, "")
    first, second = dry.stdout.splitlines()
    assert first.startswith(f"{JOB} {AGENT} (outbox): would be published: 5 events, the status, ")
    assert second.startswith(f"{OTHER} {AGENT} (status file): would be published: the status, ")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == dry.stdout.replace("would be published", "published")


def test_everything_is_published_once(left):
    """The outbox is gone afterwards, the status file stays, and a second replay is harmless."""
    url = bus_of(left)
    for _ in range(2):
        assert baqup_agent("bus", "replay", left, BAQUP_BUS_URL=url).returncode == 0

    assert [it["seq"] for it in messages(left, JOB)] == [1, 2, 3, 4, 5, 6]
    assert {it["seq"] for it in messages(left, OTHER)} == {9}
    assert [path.name for path in left.iterdir()] == [OTHER]

    assert baqup_agent("bus", "replay", left, "--bus", url, "--remove-status").returncode == 0
    assert list((left / OTHER).iterdir()) == []
    again = baqup_agent("bus", "replay", left, "--bus", url)
    assert (again.returncode, again.stdout) == (0, f"{left}: nothing to replay\n")


def test_json_is_one_object_a_line(left):
    """With every figure."""
    done = baqup_agent("bus", "replay", left, "--bus", bus_of(left), "--json")
    first, second = objects(done.stdout)

    assert first == {
        "type": "replay",
        "path": str(left / JOB / AGENT),
        "kind": "outbox",
        "job_id": JOB,
        "agent_id": AGENT,
        "result": "published",
        "events": 5,
        "statuses": 1,
        "size_bytes": first["size_bytes"],
        "corrupt": 0,
        "rejected": 0,
        "dropped": {},
        "problem": None,
    }
    assert (second["kind"], second["job_id"], second["result"]) == ("status", OTHER, "published")


def test_a_live_agent_is_named_and_left_alone(tmp_path):
    """That is no failure."""
    outbox = box(tmp_path)
    outbox.append("event", "info", '{"type":"event"}')
    done = baqup_agent("bus", "replay", tmp_path, "--bus", f"file://{tmp_path}/bus")
    outbox.close()

    assert done.returncode == 0
    assert done.stdout == f"{JOB} {AGENT} (outbox): left alone, its process lives\n"


def test_a_bus_out_of_reach_is_exit_75_and_keeps_everything(left):
    """Each source is named; the reason stands on one line."""
    done = baqup_agent("bus", "replay", left, "--bus", "redis://127.0.0.1:1/0")
    first, second = done.stdout.splitlines()

    assert done.returncode == 75
    assert first.startswith(f"{JOB} {AGENT} (outbox): kept: 5 events, the status")
    assert second.startswith(f"{OTHER} {AGENT} (status file): kept: the status")
    (line,) = done.stderr.splitlines()
    assert "out of reach: redis://127.0.0.1:1/0" in line
    assert baqup_agent("bus", "replay", left, "--bus", bus_of(left)).returncode == 0
    assert len(messages(left, JOB)) == 6


def test_damage_is_exit_65_and_the_rest_is_published(left):
    """What is damaged is told, also by a dry run."""
    segment = left / JOB / AGENT / "00000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"seq":3', b'"seq":7'))
    (left / OTHER / ".baqup-status.json").write_text("{")
    dry = baqup_agent("bus", "replay", left, "--dry-run")
    done = baqup_agent("bus", "replay", left, "--bus", bus_of(left))

    assert (dry.returncode, done.returncode) == (65, 65)
    for output in (dry.stdout, done.stdout):
        assert "  problem: 1 damaged record skipped" in output.splitlines()
        assert f"{left / OTHER}/.baqup-status.json: it holds no status" in output
    assert [it["seq"] for it in messages(left, JOB)] == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    "text", ['{"type":"event"}', '{"type":"event","x":' + "[" * 50_000 + "]" * 50_000 + "}"]
)
def test_a_record_that_says_nothing_is_exit_65_and_everything_else_is_published(left, text):
    """It is told in one line, without a traceback."""
    odd = box(left, "agent-odd")
    odd.append("event", "warn", text)
    crash(odd)
    done = baqup_agent("bus", "replay", left, "--bus", bus_of(left))

    assert (done.returncode, done.stderr) == (65, "")
    assert done.stdout.count("published") == 3
    assert done.stdout.count("problem: 1 ") == 1
    assert [it["seq"] for it in messages(left, JOB)] == [1, 2, 3, 4, 5, 6]
    assert len(messages(left, OTHER)) == 1


def test_what_its_process_had_refused_is_told(tmp_path):
    """Events that were lost before anybody could replay them."""
    from baqup_agent.bus.outbox import Sizes
    from tests.bus.outbox.boxes import crash, message

    outbox = box(tmp_path, sizes=Sizes(limit_bytes=200))
    for number in range(3):
        outbox.append("event", "warn", message(number))
    outbox.sync()  # as the publisher does twice a second
    crash(outbox)
    done = baqup_agent("bus", "replay", tmp_path, "--dry-run")

    assert done.returncode == 0
    assert "  note: its process had no room for some events: 2 warn" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'DIR'"),
        (("absent", "--dry-run"), "absent cannot be searched: No such file or directory"),
        ((".",), "no bus is given; add --bus URL"),
        ((".", "--bus", "nonsense"), "BAQUP_BUS_URL cannot be used"),
        ((".", "--odd"), "No such option"),
    ],
)
def test_bad_input_is_exit_64_on_one_line(left, arguments, said):
    """It names what is wrong and what would be right."""
    placed = [left if word == "." else word for word in arguments]
    done = baqup_agent("bus", "replay", *placed)

    assert (done.returncode, done.stdout) == (64, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_password_is_never_shown(left):
    """Neither the URL's nor the environment's."""
    url = "redis://user:geheim@127.0.0.1:1/0"
    done = baqup_agent("bus", "replay", left, "--bus", url)

    assert done.returncode == 75
    assert "geheim" not in json.dumps([done.stdout, done.stderr])

"""``baqup-agent bus watch`` as a person and as a script see it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from rich.console import Console

from baqup_agent.cli.views.watch import LiveWatch
from baqup_agent.cli.views.watch_words import middle_cut
from baqup_agent.controller.fleet import Fleet
from baqup_agent.controller.messages import read_message
from tests.cli.command import PROGRAM, baqup_agent, environment, objects
from tests.cli.test_terminal import open_terminal
from tests.controller.runs import JOB_ID
from tests.controller.wire import Bus, at, event, line, message

__all__ = ["open_terminal"]

OTHER = "0" * 8 + JOB_ID[8:]
ERROR = {"code": "SOURCE_UNAVAILABLE", "message": "the database is gone"}


def status(seq: int, word: str, **members):
    error = ERROR if word == "failed" else None
    return message("status", seq, **{"status": word, "exit_code": 0, "error": error, **members})


@pytest.fixture
def bus(redis_server, key_prefix) -> Iterator[Bus]:
    bus = Bus(redis_server.url, key_prefix)
    yield bus
    bus.transport.close()


def options(bus: Bus) -> list[str]:
    return ["bus", "watch", "--bus", bus.url, "--key-prefix", bus.prefix]


class Watching:
    """The command as a process whose output is read while it runs."""

    def __init__(self, *arguments: str, **changes: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment(**changes),
        )
        self.seen: list[str] = []

    def until(self, word: str) -> str:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.seen.append(text)
            if word in text:
                return text
        raise AssertionError(f"{word!r} never came: {self.seen}")

    def interrupt(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watching() -> Iterator[type[Watching]]:
    opened: list[Watching] = []

    class Tracked(Watching):
        def __init__(self, *arguments: str, **changes: str) -> None:
            super().__init__(*arguments, **changes)
            opened.append(self)

    yield Tracked
    for one in opened:
        one.close()


def test_plain_lines_tell_each_change(bus, watching):
    """States, intents, events and ends; a repeated beat says nothing."""
    bus.send(message("heartbeat", 1, state="initializing"))
    shown = watching(*options(bus))
    shown.until("initializing")
    intent = {"operation": "dump", "expected_duration_seconds": 90, "detail": "shop"}
    bus.send(message("heartbeat", 2, state="running", substate="dumping", intent=intent))
    bus.send(message("heartbeat", 3, state="running", substate="dumping", intent=intent))
    bus.send(event(4, severity="warn", message="was modified"), status(5, "failed", exit_code=69))
    last = shown.until("failed")

    assert shown.interrupt() == (0, "")
    told = [re.sub(r"^\d\d:\d\d:\d\d ", "", text.rstrip()) for text in shown.seen]
    assert told == [
        f"{JOB_ID[:8]} agent-x-1 initializing",
        f"{JOB_ID[:8]} agent-x-1 dumping, intent: dump, about 1 min 30 s: shop",
        f"{JOB_ID[:8]} agent-x-1 warn FILE_CHANGED x4: was modified (./a)",
        f"{JOB_ID[:8]} agent-x-1 failed exit 69, SOURCE_UNAVAILABLE: the database is gone",
    ]
    assert last == shown.seen[-1]


def test_json_lines_are_the_messages_and_the_verdicts(bus, watching):
    """Word for word; what is for people goes to stderr."""
    sent = [message("heartbeat", 1, state="running"), event(2), status(3, "success")]
    shown = watching(*options(bus), "--json")
    for each, shows in zip(sent, ('"running"', "FILE_CHANGED", '"ended"'), strict=True):
        bus.send(each)
        shown.until(shows)
    *messages, verdict = [json.loads(text) for text in shown.seen]

    assert messages == sent
    assert (verdict["type"], verdict["life"], verdict["action"]) == ("liveness", "ended", None)
    assert (verdict["job_id"], verdict["agent_id"]) == (JOB_ID, "agent-x-1")
    assert shown.interrupt()[0] == 0


def test_one_job_can_be_watched_alone(bus):
    """Whatever else is on the bus."""
    bus.send(event(1), event(2, job_id=OTHER), message("heartbeat", 3, job_id=OTHER, agent_id="b"))
    done = baqup_agent(*options(bus), "--job", JOB_ID, "--once", "--json")
    *messages, verdict = objects(done.stdout)

    assert done.returncode == 0
    assert [one["seq"] for one in messages] == [1]
    assert verdict["job_id"] == JOB_ID


def test_once_shows_how_things_stand(bus):
    """Every agent, however many, and the latest events."""
    for number in range(40):
        members = {"job_id": f"{number:08}{JOB_ID[8:]}", "agent_id": f"agent-fs-{number:06}"}
        bus.send(message("heartbeat", 1, state="running", **members))
        bus.send(message("progress", 2, percent_complete=50, files_processed=7, **members))
    bus.send(event(3, severity="error", message="it broke"), status(4, "partial"))
    done = baqup_agent(*options(bus), "--once", COLUMNS="100")

    assert done.returncode == 0
    assert "41 agents: 40 running, 1 ended" in done.stdout
    assert all(f"{number:08}" in done.stdout for number in range(40))
    assert done.stdout.count(" 50 %") == 40
    assert "error FILE_CHANGED x3: it broke" in done.stdout
    assert re.search(r"partial +- +exit 0", done.stdout)
    assert "\x1b" not in done.stdout


def test_the_bus_may_come_from_the_environment(tmp_path):
    """A file bus, its folder named by the variable that agents use."""
    wires = (message("heartbeat", 1, state="running"), status(2, "success"))
    (tmp_path / f"{JOB_ID}.jsonl").write_bytes(b"".join(map(line, wires)))
    done = baqup_agent("bus", "watch", "--once", BAQUP_BUS_URL=tmp_path.as_uri(), COLUMNS="200")

    assert done.returncode == 0
    assert "1 agent: 1 ended" in done.stdout
    assert "success" in done.stdout


def test_the_password_may_come_from_the_environment(start_server):
    """And is shown nowhere."""
    server = start_server("--requirepass", "s3cret-w0rd")
    arguments = ("bus", "watch", "--once", "--bus", server.url)
    good = baqup_agent(*arguments, BAQUP_SECRET_BUS_PASSWORD="s3cret-w0rd")
    bad = baqup_agent(*arguments, BAQUP_SECRET_BUS_PASSWORD="wr0ng-w0rd")

    assert (good.returncode, bad.returncode) == (0, 64)
    assert "AuthenticationError" in bad.stderr
    assert "BAQUP_SECRET_BUS_PASSWORD" in bad.stderr
    assert "w0rd" not in good.stdout + good.stderr + bad.stdout + bad.stderr


BAD = [
    (["bus", "watch"], 64, "BAQUP_BUS_URL"),
    (["bus", "watch", "--bus", "http://h"], 64, "scheme"),
    (["bus", "watch", "--bus", "redis://:pw@h:x/"], 64, "port"),
    (["bus", "watch", "--bus", "file:///tmp", "--sideways"], 64, "--sideways"),
    (["bus", "look"], 64, "look"),
]


@pytest.mark.parametrize(("arguments", "code", "word"), BAD, ids=lambda value: str(value)[:30])
def test_a_wrong_command_line_is_one_line(arguments, code, word):
    """With the rule and the remedy, and without the password."""
    done = baqup_agent(*arguments)

    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert word in done.stderr
    assert ":pw@" not in done.stderr


def test_a_bus_that_is_away_is_waited_for(start_server, key_prefix, watching):
    """It is said, and gone on from when it is back."""
    server = start_server()
    server.stop()
    url = f"redis://127.0.0.1:{server.port}/0"
    shown = watching("bus", "watch", "--bus", url, "--key-prefix", key_prefix)
    shown.until("cannot be watched")
    start_server(port=server.port)
    shown.until("can be watched again")
    bus = Bus(url, key_prefix)
    bus.send(message("heartbeat", 1, state="completing"))
    shown.until("completing")
    bus.transport.close()

    assert shown.interrupt()[0] == 0


def test_once_on_a_bus_that_is_away_fails(unused_url):
    """There is nothing to show: exit 69, and what to check."""
    done = baqup_agent("bus", "watch", "--once", "--bus", unused_url)

    assert done.returncode == 69
    assert re.search(r"cannot be read: .*[Cc]onnection refused.*; check that it is up", done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("more", [(), ("--json",), ("--once",), ("--once", "--json")])
def test_wrong_credentials_end_the_watching(start_server, more):
    """No waiting helps: exit 64, one line with the remedy, and the password nowhere."""
    server = start_server("--requirepass", "s3cret-w0rd")
    url = server.url.replace("redis://", "redis://:wr0ng-w0rd@")
    done = baqup_agent("bus", "watch", "--bus", url, *more)

    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.count("\n") == 1
    assert server.url.partition("://")[2] in done.stderr
    assert "give user and password" in done.stderr
    assert "w0rd" not in done.stderr


def test_credentials_that_stop_working_are_an_outage(start_server, watching):
    """Whoever has seen the bus once goes on looking."""
    server = start_server()
    shown = watching("bus", "watch", "--bus", server.url)
    bus = Bus(server.url, "baqup:")
    bus.send(message("heartbeat", 1, state="running"))
    shown.until("running")
    bus.transport.close()
    with Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", "changed")
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        shown.until("cannot be watched")
        admin.config_set("requirepass", "")
        shown.until("can be watched again")

    assert shown.interrupt()[0] == 0


@pytest.mark.parametrize("more", [(), ("--json",), ("--once",), ("--once", "--json")])
@pytest.mark.parametrize(
    ("place", "why"),
    [("file", "Not a directory"), ("no/such", "no such directory, nor its parent")],
)
def test_a_file_url_that_is_no_bus_is_an_error(tmp_path, place, why, more):
    """No agent could use it either: exit 64, with the URL, the reason and the remedy."""
    (tmp_path / "file").write_text("no bus")
    url = (tmp_path / place).as_uri()
    done = baqup_agent("bus", "watch", "--bus", url, *more)

    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.count("\n") == 1
    assert f"{url} is no bus: {why}" in done.stderr.replace("there is ", "")
    assert "BAQUP_BUS_URL" in done.stderr


def test_a_file_bus_that_no_agent_has_made_yet_is_waited_for(tmp_path, watching):
    """The first agent makes the directory; whoever asks once is told that there is none."""
    url = (tmp_path / "bus").as_uri()
    once = baqup_agent("bus", "watch", "--bus", url, "--once")
    shown = watching("bus", "watch", "--bus", url)
    shown.until("no such directory; it is waited for")
    (tmp_path / "bus").mkdir()
    (tmp_path / "bus" / f"{JOB_ID}.jsonl").write_bytes(
        line(message("heartbeat", 1, state="running"))
    )
    shown.until("running")

    assert (once.returncode, once.stdout) == (69, "")
    assert f"{url} cannot be read: there is no such directory" in once.stderr
    assert shown.interrupt()[0] == 0


@pytest.fixture
def unused_url(start_server):
    server = start_server()
    server.stop()
    return server.url


def test_a_reader_of_the_lines_may_go_away(bus, watching):
    """As ``| head -1`` does: no traceback, exit 0."""
    shown = watching(*options(bus), "--json")
    bus.send(message("heartbeat", 1))
    shown.until("heartbeat")
    assert shown.process.stdout is not None
    assert shown.process.stderr is not None
    shown.process.stdout.close()
    deadline = time.monotonic() + 30
    seq = 1
    while shown.process.poll() is None and time.monotonic() < deadline:
        bus.send(message("heartbeat", seq := seq + 1))
        time.sleep(0.01)

    assert shown.process.wait(10) == 0
    assert shown.process.stderr.read() == ""


def test_the_picture_is_drawn_in_place_until_ctrl_c(bus, open_terminal):
    """Ctrl-C ends it with 0 and gives the cursor back."""
    bus.send(message("heartbeat", 1, state="running"), event(2, message="once"))
    terminal = open_terminal([*PROGRAM, *options(bus)])
    terminal.wait_for("1 agent: 1 running")
    bus.send(message("progress", 3, percent_complete=50.0, bytes_processed=2048))
    terminal.wait_for("━━━━──── ")
    bus.send(status(4, "failed", exit_code=69))
    terminal.wait_for("exit 69, SOURCE_UNAVAILABLE")
    terminal.press("\x03")

    assert terminal.end() == 0
    assert "latest events" in terminal.text
    assert terminal.raw.count("\x1b[?25l") == terminal.raw.count("\x1b[?25h") == 1  # the cursor


def test_a_terminal_is_told_that_the_bus_is_away(open_terminal, unused_url):
    """In the headline, for as long as it is."""
    terminal = open_terminal([*PROGRAM, "bus", "watch", "--bus", unused_url])
    terminal.wait_for("away, waiting for it")
    terminal.press("\x03")

    assert terminal.end() == 0


def drawn(fleet: Fleet, view: LiveWatch, rows: int, now_s: float) -> list[str]:
    with view._console.capture() as capture:
        view._console.print(view._picture(fleet, now_s, rows, seeing=True))
    return capture.get().splitlines()


def crowd(view: LiveWatch, number: int) -> Fleet:
    """Agents of which each tenth is silent since the beginning, and each seventh has ended."""
    fleet = Fleet()
    for n in range(number):
        whose = {"job_id": f"{n:08}{JOB_ID[8:]}", "agent_id": f"agent-postgres-{n:06}"}
        intent = {"operation": "checksum_large_file", "detail": "/srv/" + "größe/" * 30}
        beat = {"state": "running", "intent": intent if n % 3 == 0 else None}
        heard_s = 60.0 if n % 10 else 0.0
        told = [
            message("heartbeat", 1, **whose, **beat),
            message("progress", 2, percent_complete=n, current_file="\x1b[31mé" * 40, **whose),
            event(3, message="a long story " * 20, **whose),
        ]
        if n % 7 == 6:
            told.append(status(4, "success", **whose))
        for wire in told:
            read = read_message(wire)
            view.message(read, fleet.take(read, heard_s))
    fleet.look(60.0)
    return fleet


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_every_row_of_the_picture_fits_its_line(columns):
    """A picture that wraps would flicker."""
    view = LiveWatch("redis://h:6379/0", console=Console(width=columns, height=24))
    rows = drawn(crowd(view, 30), view, 19, 60.0)

    assert len(rows) <= 24
    assert max(map(len, rows)) <= columns
    assert "\x1b" not in "".join(rows)


def test_the_gravest_stand_first_and_the_rest_is_counted():
    """With 30 agents on 24 lines, the dead must be among those that are seen."""
    view = LiveWatch("redis://h:6379/0", console=Console(width=80, height=24))
    rows = drawn(crowd(view, 30), view, 19, 60.0)

    assert "30 agents: 24 running, 4 ended, 2 presumed dead" in rows[0]
    assert [row.split()[-2:] for row in rows[2:4]] == [["presumed", "dead"]] * 2
    assert any(
        re.fullmatch(r"… \d+ agents: \d+ running, 4 ended more", row.strip()) for row in rows
    )


@pytest.mark.parametrize(
    ("age_s", "style"), [(14.9, "32"), (15, "33"), (29.9, "33"), (30, "1;31"), (500, "1;31")]
)
def test_the_age_of_a_beat_has_its_colour(age_s, style):
    """Green, amber from 15 s, red from 30 s."""
    console = Console(width=80, height=24, force_terminal=True, color_system="standard")
    view = LiveWatch("redis://h:6379/0", console=console)
    fleet = Fleet()
    fleet.take(read_message(message("heartbeat", 1, state="running", timestamp=at(1))), 100.0)
    fleet.look(100.0 + age_s)
    text = "\n".join(drawn(fleet, view, 19, 100.0 + age_s))

    assert re.search(rf"\x1b\[{style}m *{age_s:.0f} s", text)


def test_an_agents_id_is_cut_in_its_middle():
    """It is told apart by its end."""
    assert middle_cut("agent-fs-7f8a9b", 16) == "agent-fs-7f8a9b"
    assert middle_cut("agent-postgres-7f8a9b", 16) == "agent-po…-7f8a9b"


def test_the_picture_survives_what_it_cannot_encode(bus):
    """In the poorest of locales, on a pipe."""
    bus.send(message("heartbeat", 1, state="running"), message("progress", 2, percent_complete=50))
    done = baqup_agent(*options(bus), "--once", LC_ALL="C", PYTHONIOENCODING="ascii")

    assert done.returncode == 0
    assert "50 %" in done.stdout

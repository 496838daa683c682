"""Rule 33: a server that is there and not well, or that does not let the agent in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import frozen

from baqup_agent.conformance.check import check
from baqup_agent.conformance.delivery import PATIENCE, require_reported
from baqup_agent.conformance.endings import require_exit
from baqup_agent.conformance.lab import Lab
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import Violation, require
from baqup_agent.controller.embedded import EmbeddedServer

#: The exit code of a configuration that cannot be used (Contract §5).
_USAGE = 64


@frozen
class _Trouble:
    """A server's bad state.

    Attributes:
        name: the word of its answers.
        begin: the command that brings it about.
        end: the command that makes the server well again.
    """

    name: str
    begin: tuple[str, ...]
    end: tuple[str, ...]


_TROUBLES = (
    # Nobody listens on port 1, where its master is said to be.
    _Trouble("READONLY", ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    _Trouble("OOM", ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
)

#: Keys that a server loads for a tenth of a second each; their size makes it look up after each
#: of them, and answer that it is loading.
_LOADED_KEYS, _LOADED_BYTES = 12, 2_200_000

#: What makes a server slow to load, and willing to be told to.
_LOADING = ("--enable-debug-command", "yes", "--key-load-delay", "100000")


@check(
    "outage/33/refused-credentials",
    rule="Credentials that the bus refuses are a configuration error: exit 64, without output and "
    "without the password in any line.",
    source="Contract §3, §5, §7",
    how="The URL names a user that does not exist, and a canary as the password.",
    remedy="Tell WRONGPASS and NOAUTH from an outage while initializing; leave the URL out of the "
    "message.",
)
def _refused_credentials(lab: Lab) -> None:
    canary = f"canary{lab.random.getrandbits(64):016x}"
    server = lab.server()
    url = f"redis://nobody:{canary}@127.0.0.1:{server.port}/0"
    run = lab.run(server=server, env={"BAQUP_BUS_URL": url})
    require_exit(run, _USAGE, "the bus refuses the credentials")
    require(run.manifest() is None, "it published, in spite of a configuration error")
    require(canary not in run.output, "the password of the bus is in its output")


@check(
    "outage/33/password-changed",
    rule="A bus that refuses the agent later on, while it works, is an outage and no failure.",
    source="Contract §3",
    how="In running the server asks for a password and the line is cut; a second later the "
    "password is gone again.",
    remedy="Take refused credentials for an error of configuration in initializing only.",
)
def _password_changed(lab: Lab) -> None:
    server = lab.server()
    run = lab.run(fixture=lab.described("events") or "slow", server=server, env=PATIENCE)
    run.wait_for(state="running")
    with _admin(server) as admin:
        admin.config_set("requirepass", "changed")
        run.bus.cut()
        run.pause(1.0)
        admin.config_set("requirepass", "")
    require_reported(run)


@check(
    "outage/33/troubled-server",
    rule="A server that is loading, out of memory or read-only is an outage: the job goes on, and "
    "reports once the server is well.",
    source="Contract §3",
    how="One server each is brought into that state; it is made well again when the manifest is "
    "there, and the jobs have to end with 0.",
    remedy="Take LOADING, OOM, READONLY and their like for an outage, and try again.",
)
def _troubled_server(lab: Lab) -> None:
    with ThreadPoolExecutor(len(_TROUBLES) + 1) as pool:
        jobs = [pool.submit(_through_trouble, lab, one) for one in _TROUBLES]
        jobs.append(pool.submit(_through_loading, lab))
        for job in jobs:
            job.result()


def _through_trouble(lab: Lab, trouble: _Trouble) -> None:
    """Run a job on a server in trouble, which is well again once the manifest is there."""
    server = lab.server()
    with _admin(server) as admin:
        admin.execute_command(*trouble.begin)
        run = lab.run(server=server, env=PATIENCE)
        run.wait_for_file("manifest.json")
        admin.execute_command(*trouble.end)
    _require_reported_after(run, trouble.name)


def _through_loading(lab: Lab) -> None:
    """Run a job on a server that loads its data meanwhile, for a second or so."""
    server = lab.server(*_LOADING, "--rdbcompression", "no")
    with _admin(server) as admin:
        for number in range(_LOADED_KEYS):
            admin.set(f"conform-{number}", "x" * _LOADED_BYTES)
        run = lab.run(server=server, env=PATIENCE)
        admin.execute_command("DEBUG", "RELOAD")  # answers when it is over
    _require_reported_after(run, "LOADING")


def _require_reported_after(run: Run, trouble: str) -> None:
    try:
        require_reported(run)
    except Violation as error:
        raise Violation(f"the server was {trouble}: {error.message}", error.evidence) from error


def _admin(server: EmbeddedServer) -> Any:
    """Return a client of the server itself, past the line."""
    from redis import Redis

    return Redis.from_url(server.url, decode_responses=True, socket_timeout=30)

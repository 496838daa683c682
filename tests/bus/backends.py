"""The three kinds of bus behind one face, so that one suite judges them all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from redis import Redis

from baqup_agent.bus.encoding import decode_hash
from baqup_agent.bus.file_transport import FileTransport
from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.bus.redis_transport import RedisTransport
from baqup_agent.bus.topology import PLACES, key
from baqup_agent.bus.transport import Transport
from baqup_agent.bus.url import FileUrl, RedisUrl, parse_bus_url
from baqup_agent.controller.embedded import EmbeddedServer
from tests.bus.samples import JOB

#: The prefix of tests that have a server of their own.
PREFIX = "baqup:"
StartServer = Callable[..., EmbeddedServer]
Open = Callable[..., RedisTransport]


class Backend(Protocol):
    """A bus as a controller sees it, with a handle to break it."""

    transport: Transport

    def latest(self, kind: str, owner: str) -> dict[str, Any] | None: ...
    def events(self, job_id: str = JOB) -> list[dict[str, Any]]: ...
    def notifications(self) -> list[dict[str, Any]]: ...
    def go_down(self) -> None: ...
    def come_up(self) -> None: ...
    def close(self) -> None: ...


class MemoryBackend:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.transport = MemoryTransport(prefix)

    def latest(self, kind: str, owner: str) -> dict[str, Any] | None:
        fields = self.transport.hashes.get(key(self.prefix, kind, owner))
        return None if fields is None else decode_hash(kind, fields)

    def events(self, job_id: str = JOB) -> list[dict[str, Any]]:
        entries = self.transport.streams.get(key(self.prefix, "event", job_id), [])
        return [decode_hash("event", fields) for fields in entries]

    def notifications(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.transport.notifications]

    def go_down(self) -> None:
        self.transport.down = True

    def come_up(self) -> None:
        self.transport.down = False

    def close(self) -> None:
        self.transport.close()


class FileBackend:
    """Down means: the device is full and the directory is gone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.transport = FileTransport(FileUrl(directory), JOB)

    def messages(self) -> list[dict[str, Any]]:
        path = self.directory / f"{JOB}.jsonl"
        if not path.is_file():
            return []
        content = path.read_bytes()
        assert content == b"" or content.endswith(b"\n")
        return [json.loads(line) for line in content.splitlines()]

    def latest(self, kind: str, owner: str) -> dict[str, Any] | None:
        member = PLACES[kind].owner
        found = [m for m in self.messages() if m["type"] == kind and m[member] == owner]
        return found[-1] if found else None

    def events(self, job_id: str = JOB) -> list[dict[str, Any]]:
        return [m for m in self.messages() if m["type"] == "event" and m["job_id"] == job_id]

    def notifications(self) -> list[dict[str, Any]]:
        return self.messages()

    def go_down(self) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        assert self.transport._fd is not None
        os.dup2(full, self.transport._fd)
        os.close(full)
        self.directory.rename(self.directory.with_suffix(".away"))
        self.directory.write_text("in the way")

    def come_up(self) -> None:
        self.directory.unlink()
        self.directory.with_suffix(".away").rename(self.directory)

    def close(self) -> None:
        self.transport.close()


class RedisBackend:
    """Down means: the server is stopped in its tracks and answers nothing."""

    def __init__(self, server: EmbeddedServer, prefix: str) -> None:
        url = parse_bus_url(server.url)
        assert isinstance(url, RedisUrl)
        self.prefix = prefix
        self.server = server
        self.transport = RedisTransport(url, prefix, timeout_s=0.3)
        self.client = Redis.from_url(server.url, decode_responses=True)
        self.subscription = self.client.pubsub(ignore_subscribe_messages=True)
        self.subscription.subscribe(prefix + "notify")
        self.subscription.get_message(timeout=5)  # the confirmation: from here on nothing is missed

    def latest(self, kind: str, owner: str) -> dict[str, Any] | None:
        fields = self.client.hgetall(key(self.prefix, kind, owner))
        return decode_hash(kind, fields) if fields else None

    def events(self, job_id: str = JOB) -> list[dict[str, Any]]:
        entries = self.client.xrange(key(self.prefix, "event", job_id))
        return [decode_hash("event", fields) for _, fields in entries]

    def notifications(self) -> list[dict[str, Any]]:
        found = []
        # What was published before a PING is in our socket before its answer.
        self.client.ping()
        while entry := self.subscription.get_message(timeout=0.1):
            found.append(json.loads(entry["data"]))
        return found

    def go_down(self) -> None:
        os.kill(self.server.pid, signal.SIGSTOP)

    def come_up(self) -> None:
        os.kill(self.server.pid, signal.SIGCONT)

    def close(self) -> None:
        self.transport.close()
        self.subscription.close()
        self.client.close()


def url_of(admin: Redis, userinfo: str = "", database: int | str = 0) -> str:
    """The URL of the server that a client is connected to, with other credentials."""
    port = admin.connection_pool.connection_kwargs["port"]
    return f"redis://{userinfo}127.0.0.1:{port}/{database}"

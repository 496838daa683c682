"""A master with a replica under the watch of three sentinels, made to fail over quickly."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from redis import RedisError

from tests.servers.process import LOOPBACK, Server
from tests.servers.versions import Version
from tests.waiting import eventually

#: What the sentinels call the master.
MASTER = "mymaster"


class Watched:
    """Two servers and their sentinels, in a ``with`` block.

    Args:
        version: which servers.
        arguments: further ones of the data servers.
        sentinel_lines: further lines of the sentinels' configuration.
        count: of sentinels; more than half of them have to agree on a fail-over.
        password: what the sentinels tell the data servers.
        tls: the authority of servers and sentinels that speak TLS.
    """

    def __init__(
        self,
        version: Version,
        *arguments: str,
        sentinel_lines: tuple[str, ...] = (),
        count: int = 3,
        tls: Path | None = None,
        password: str | None = None,
    ) -> None:
        self._version = version
        self._arguments = arguments
        self._lines = sentinel_lines
        self._count = count
        self._tls = tls
        if password is not None:
            self._lines += (f"sentinel auth-pass {MASTER} {password}",)
        self._stack = ExitStack()
        self.sentinels: list[Server] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.master = stack.enter_context(self._server())
            follow = ("--replicaof", LOOPBACK, str(self.master.port))
            self.replica = stack.enter_context(self._server(*follow))
            for _ in range(self._count):
                self.sentinels.append(stack.enter_context(self._sentinel()))
            eventually(self._is_settled, within_s=30)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def hosts(self) -> str:
        """The sentinels, as they stand in a URL."""
        return ",".join(sentinel.address for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        """The URL of the bus."""
        return f"redis+sentinel://{self.hosts}/{MASTER}"

    def _server(self, *arguments: str) -> Server:
        return Server(self._version, *_QUICK, *arguments, *self._arguments, tls=self._tls)

    def _sentinel(self) -> Server:
        lines = [
            f"sentinel monitor {MASTER} {LOOPBACK} {self.master.port} {self._count // 2 + 1}",
            f"sentinel down-after-milliseconds {MASTER} 300",
            f"sentinel failover-timeout {MASTER} 2000",
            *self._lines,
        ]
        text = "\n".join(["protected-mode no", *lines, ""])
        secured = self._arguments if self._tls else ()
        return Server(self._version, "--sentinel", *secured, config=text, tls=self._tls)

    def _is_settled(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.admin() as admin:
                try:
                    state = admin.sentinel_masters()[MASTER]
                except RedisError:
                    return False
            others = self._count - 1
            if state["num-slaves"] < 1 or state["num-other-sentinels"] < others:
                return False
        with self.replica.admin() as admin:
            return admin.info("replication")["master_link_status"] == "up"


#: A replica is in step at once, and notices at once that its master is back.
_QUICK = ("--save", "", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")

# ruff: noqa: RUF009  (the calls make attrs fields, they are no defaults)
"""An author's settings with one of everything; the tests of several modules use them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from attrs import frozen

from baqup_agent import Agent, Job, Secret, config


class Mode(StrEnum):
    """How much is dumped."""

    FULL = "full"
    TABLES = "tables"


@frozen
class Source:
    """Where a shop's database is."""

    host: str | None = config.hostname("server to read from", default=None, needs="port")
    port: int | None = config.port("its port", default=None)
    path: Path | None = config.path(
        "directory to read", required_for="snapshot", must_exist="directory"
    )
    databases: tuple[str, ...] = config.array("databases to read", default=("all",))
    mode: Mode = config.enum("how much", Mode, default=Mode.FULL)
    tls: bool = config.flag("encrypt the connection", default=False)
    ca_file: Path | None = config.path("who vouches for it", required_if={"tls": True})
    chunk: int = config.size("read at once", default="8M")
    patience: timedelta = config.duration("longest wait", default=timedelta(minutes=1))
    rate: float | None = config.number("most per second", default=None, minimum=0.5, unit="MB")
    label: str = config.text("a word", default="x", pattern="[a-z|]+", max_length=8)
    hook: str | None = config.uri("who is told", default=None, schemes=("https",))


@frozen
class Target:
    """Where it goes."""

    path: Path | None = config.path("directory to restore to", required_for=["restore"])
    workers: int = config.integer("at once", default=2, minimum=1, maximum=64)


@frozen
class Shop:
    """All of it."""

    source: Source = config.section(Source)
    target: Target = config.section(Target)
    db_password: Secret = config.secret("password of the backup user")


class ShopAgent(Agent):
    """Backs up a shop."""

    name = "agent-shop"
    version = "1.0.0"
    settings = Shop

    def snapshot(self, job: Job) -> None:
        """Write down what was read, without secrets."""
        shop = job.config.of(Shop)
        with job.staging.artifact("settings.txt", compress=False) as out:
            out.write(f"{shop.source.databases} {shop.source.chunk} {shop}".encode())

    def restore(self, job: Job) -> None:
        """Do nothing."""


if __name__ == "__main__":
    ShopAgent.main()

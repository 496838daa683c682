"""What a check is handed: it makes runs of the agent, and cleans up after them."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from baqup_agent.conformance.bus_watch import BusWatch
from baqup_agent.conformance.conform_file import Fixture, RoleNeeds
from baqup_agent.conformance.process import Launch, Process
from baqup_agent.conformance.proxy import Proxy
from baqup_agent.conformance.run import Place, Run
from baqup_agent.conformance.session import (
    Session,
    Times,
    address,
    parse_text,
    remove_tree,
    through,
)
from baqup_agent.conformance.timeline import Timeline
from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable, Violation
from baqup_agent.controller.embedded import EmbeddedServer

#: Seconds for an agent to describe itself or its configuration.
ANSWER_S = 20.0

#: The variables that the suite itself sets for a job (Contract §2).
OWN_VARIABLES = ("BAQUP_JOB_ID", "BAQUP_STAGING_DIR", "BAQUP_BUS_URL")

_MASK = "***"


class Lab:
    """One check's own; used in a ``with`` block by the suite.

    Attributes:
        random: drawn from the seed, the check's id and the round.
        times: the intervals that runs are configured with.
        full: whether sweeps go to their full length.
    """

    def __init__(self, session: Session, name: str, round_number: int, deadline_s: float) -> None:
        self._session = session
        self._deadline_s = deadline_s
        self._stack = contextlib.ExitStack()
        self.runs: list[Run] = []
        seed = f"{session.settings.seed}/{name}/{round_number}"
        self.random = random.Random(seed)  # noqa: S311  moments to strike at, not secrets
        self.times: Times = session.times
        self.full = session.settings.full

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the agent ------------------------------------------------------------------------

    def run(  # noqa: PLR0913  the ways in which an agent can be started
        self,
        role: str | None = None,
        *,
        arguments: Sequence[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        fixture: str | None = None,
        bus: str = "up",
        server: EmbeddedServer | None = None,
        again: Run | None = None,
        bare: bool = False,
        offline: bool = False,
        pid1: bool = False,
        below: Sequence[str] | Callable[[Place], Sequence[str]] = (),
    ) -> Run:
        """Start the agent; return as soon as its program runs.

        Args:
            role: by default the agent's first, or the fixture's.
            arguments: the whole command line behind the agent's command, in place of the role.
            env: variables beyond a valid environment of the role; None takes one away.
            fixture: a behaviour that conform.toml describes.
            bus: how the line to the bus is at the start: ``up``, ``absent`` (refused),
                ``stalled``, ``dropping``. `Run.bus` changes it.
            server: a server of the check's own in place of the suite's, see `server`.
            again: an earlier run whose job, staging and buffer this one shall have.
            bare: without any variable of the contract.
            offline: without a network.
            pid1: as process 1 of its own namespace, as in a container.
            below: a command line that runs the agent's, which is put behind it, such as a
                tracer's; or what makes one for the run's directories.

        Raises:
            NotApplicable: conform.toml has no such fixture, or this machine grants no namespace.
            CannotJudge: the command cannot be started, or time is up.
        """
        if self._session.cancelled or time.monotonic() > self._deadline_s:
            raise CannotJudge("time was up, or the suite was interrupted")
        behaviour = self._fixture(fixture)
        role = role or behaviour.role or self.role
        place = again.place if again else self._place()
        timeline = Timeline()
        url = server.url if server else self._session.server_url
        proxy = Proxy(*address(url), lambda word: timeline.add("bus", word))
        watch = None
        try:
            _spoil(proxy, bus)
            settings = {} if bare else self._job(place, role, through(url, proxy.port), behaviour)
            chosen = _merge(settings, env or {})
            command = (
                *(below(place) if callable(below) else below),
                *(behaviour.command or self._session.command),
                *(arguments if arguments is not None else behaviour.arguments or (role,)),
            )
            watch = BusWatch(url, place.prefix, timeline)
            process = Process(
                Launch(command, {**self._basis(place), **chosen}, place.home, pid1, offline),
                timeline,
                place.staging,
            )
        except BaseException:
            proxy.close()
            if watch is not None:
                watch.close()
            raise
        run = Run(
            command=command,
            environment=self._masked(chosen),
            place=place,
            timeline=timeline,
            bus=proxy,
            watch=watch,
            process=process,
            deadline_s=self._deadline_s,
        )
        self.runs.append(run)
        if self._session.cancelled:  # it began while all others were being ended
            run.close()
            raise CannotJudge("the suite was interrupted")
        return run

    def call(self, *arguments: str, within_s: float = ANSWER_S, **options: Any) -> Run:
        """Run the agent with arguments such as ``--info`` and wait for its end.

        Args:
            *arguments: the command line behind the agent's command.
            within_s: seconds that it may take.
            **options: as for `run`.

        Raises:
            Violation: it did not end in time.
        """
        run = self.run(arguments=arguments, **options)
        run.exit_code(within_s=within_s)
        return run

    # -- what is known of it --------------------------------------------------------------

    @property
    def role(self) -> str:
        """The role that checks use: ``snapshot`` if the agent has it, else its first."""
        return self.roles[0]

    @property
    def roles(self) -> list[str]:
        """The agent's roles, by ``--info``, else by conform.toml."""
        said = self.info().get("roles")
        roles = [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
        roles = roles or list(self._session.settings.file.roles) or ["snapshot"]
        return sorted(roles, key=lambda one: one != "snapshot")

    def info(self) -> dict[str, Any]:
        """Return what ``--info`` prints; empty if that is no JSON object."""
        document = parse_text(self.text("--info"))
        return document if isinstance(document, dict) else {}

    def schema(self) -> Any:
        """Return the agent's JSON Schema.

        Raises:
            NotApplicable: it is not known where it is.
        """
        file = self._session.settings.file
        document = parse_text(self.text(*file.schema)) if file.schema else None
        if document is None and file.schema_file is not None:
            document = parse_text(_read(file.schema_file))
        if document is None:
            raise NotApplicable(
                "no schema is known; name it in conform.toml: [describe] schema or schema_file"
            )
        return document

    def variables(self) -> dict[str, dict[str, Any]]:
        """Return the variables of the agent's schema, each with its part of the schema."""
        with contextlib.suppress(NotApplicable):
            document = self.schema()
            found = document.get("properties") if isinstance(document, dict) else None
            if isinstance(found, dict):
                return {
                    name: part
                    for name, part in found.items()
                    if name.startswith("BAQUP_") and isinstance(part, dict)
                }
        return {}

    def secrets(self) -> list[str]:
        """Return the names of its secret variables, by conform.toml and by its schema."""
        marked = [name for name, part in self.variables().items() if part.get("writeOnly")]
        return sorted({*self._session.settings.file.secrets, *marked})

    def text(self, *arguments: str) -> str | None:
        """Return what it prints for some arguments, asked once a suite; None if it failed."""
        with self._session.lock:
            if arguments not in self._session.texts:
                run = self.run("-", arguments=arguments, bare=True)
                try:
                    good = run.exit_code(within_s=ANSWER_S) == 0
                except Violation:  # the check of that rule will tell; to others it is unknown
                    good = False
                run.close()
                self.runs.remove(run)  # it is nothing that the check did
                self._session.texts[arguments] = run.stdout if good else None
            return self._session.texts[arguments]

    def labels(self) -> Any:
        """Return the labels of its image as an object.

        Raises:
            NotApplicable: conform.toml does not say where they are.
        """
        self.needs("labels")
        file = self._session.settings.file
        if file.labels is not None:
            return parse_text(self.text(*file.labels))
        if file.labels_file is not None:
            return parse_text(_read(file.labels_file))
        raise NotApplicable(
            "no labels are known; name them in conform.toml: [describe] labels or labels_file"
        )

    def shipped_schema(self) -> Any:
        """Return the schema file that is shipped with it; None if conform.toml names none."""
        path = self._session.settings.file.schema_file
        return None if path is None else parse_text(_read(path))

    def needs(self, capability: str) -> None:
        """Raise `NotApplicable` if conform.toml says that the agent lacks a capability."""
        reason = self._session.settings.file.lacks.get(capability)
        if reason is not None:
            raise NotApplicable(f"[lacks] {capability}: {reason}")

    def has_fixture(self, name: str) -> bool:
        """Tell whether conform.toml describes a behaviour."""
        return name in self._session.settings.file.fixtures

    # -- chance and servers ---------------------------------------------------------------

    def count(self, short: int, full: int) -> int:
        """Return how many steps a sweep has, in the short form or in full."""
        return full if self.full else short

    def offsets(self, upper_s: float, count: int) -> list[float]:
        """Return ``count`` moments from 0 to ``upper_s``: one drawn in each equal part of it."""
        return [upper_s * (step + self.random.random()) / count for step in range(count)]

    def server(self, *arguments: str) -> EmbeddedServer:
        """Start a server of the check's own, with arguments such as ``--maxmemory``, ``1``."""
        return self._stack.enter_context(EmbeddedServer(*arguments))

    def close(self) -> None:
        """End everything that was started; harmless when repeated."""
        for run in self.runs:
            run.close()
        self._stack.close()

    # -- inside ---------------------------------------------------------------------------

    def _place(self) -> Place:
        root = Path(tempfile.mkdtemp(prefix="run-", dir=self._session.root))
        self._stack.callback(remove_tree, root)
        job_id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        parts = {name: root / name for name in ("staging", "buffer", "work", "home", "tmp")}
        for part in parts.values():
            part.mkdir()
        del parts["tmp"]
        return Place(root=root, job_id=job_id, prefix=f"conform:{uuid.uuid4().hex}:", **parts)

    def _basis(self, place: Place) -> dict[str, str]:
        return {
            **self._session.host_environment(),
            "HOME": str(place.home),
            "TMPDIR": str(place.root / "tmp"),
        }

    def _job(self, place: Place, role: str, url: str, behaviour: Fixture) -> dict[str, str]:
        """Return a valid environment of a role."""
        file = self._session.settings.file
        needs = file.roles.get(role, RoleNeeds())
        published = self._published(needs.after) if needs.after else ""
        own = {
            "BAQUP_JOB_ID": place.job_id,
            "BAQUP_STAGING_DIR": str(place.staging),
            "BAQUP_BUS_URL": url,
            "BAQUP_BUS_KEY_PREFIX": place.prefix,
            "BAQUP_BUS_FALLBACK_DIR": str(place.buffer),
            "BAQUP_BUS_GRACE_PERIOD": str(self.times.grace_s),
            "BAQUP_AGENT_HEARTBEAT_INTERVAL": str(self.times.heartbeat_s),
        }
        if not file.env and not file.roles:  # nobody says what it backs up: files, perhaps
            own["BAQUP_SOURCE_PATH"] = str(self._session.source)
        told = {**file.env, **needs.env, **behaviour.env}
        more = {"work": str(place.work), "published": published}
        return {**own, **{name: self._session.fill(text, **more) for name, text in told.items()}}

    def _published(self, role: str) -> str:
        """Return what a role publishes, for another to read; it is run once a suite."""
        with self._session.lock:
            if role not in self._session.published:
                run = self.run(role)
                code = run.exit_code()
                if code != 0:
                    raise CannotJudge(
                        f"the role {role}, which another needs, ended with {run.end_words()}"
                    )
                if not run.job_dir.is_dir():
                    raise CannotJudge(f"the role {role}, which another needs, published nothing")
                kept = self._session.root / f"published-{role}" / run.job_id
                shutil.copytree(run.job_dir, kept, symlinks=True)
                self._session.published[role] = kept
            return str(self._session.published[role])

    def _fixture(self, name: str | None) -> Fixture:
        if name is None:
            return Fixture()
        found = self._session.settings.file.fixtures.get(name)
        if found is None:
            raise NotApplicable(f"conform.toml describes no [fixtures.{name}]")
        if found.command is None:
            return found
        command = tuple(self._session.fill(word) for word in found.command)
        return Fixture(found.env, command, found.arguments, found.role)

    def _masked(self, settings: Mapping[str, str]) -> dict[str, str]:
        secret = set(self._session.settings.file.secrets)
        return {
            name: _MASK if name in secret or name.startswith("BAQUP_SECRET_") else value
            for name, value in settings.items()
        }


def _merge(settings: Mapping[str, str], env: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**settings, **env}
    return {name: value for name, value in merged.items() if value is not None}


def _spoil(proxy: Proxy, word: str) -> None:
    ways = {
        "up": lambda: None,
        "absent": proxy.refuse,
        "stalled": proxy.stall,
        "dropping": proxy.drop,
    }
    if word not in ways:
        raise CannotJudge(f"a bus cannot be {word!r}; it is one of {', '.join(ways)}")
    ways[word]()


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotJudge(f"{path} of conform.toml cannot be read: {error}") from error

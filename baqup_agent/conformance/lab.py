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

from baqup_agent.conformance.conform_file import Fixture, RoleNeeds
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.seen import Place
from baqup_agent.conformance.session import Session, Times, remove_tree
from baqup_agent.conformance.start import Start, begin
from baqup_agent.conformance.subject import Subject
from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable, Violation
from baqup_agent.controller.embedded import EmbeddedServer

#: Seconds for an agent to describe itself or its configuration.
ANSWER_S = 20.0

#: The variables that the suite itself sets for a job (Contract §2).
OWN_VARIABLES = ("BAQUP_JOB_ID", "BAQUP_STAGING_DIR", "BAQUP_BUS_URL")


class Lab:
    """One check's own; used in a ``with`` block by the suite.

    Attributes:
        agent: what is known of it before any job.
        runs: all that it made so far.
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
        self.agent = Subject(session, self._ask)
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
        self._require_time()
        behaviour = self._fixture(fixture)
        role = role or behaviour.role or self.agent.role
        place = again.place if again else self._place()

        def variables(url: str) -> dict[str, str]:
            valid = {} if bare else self._valid(place, role, url, behaviour)
            return _merge(valid, env or {})

        start = Start(
            place=place,
            command=(
                *(below(place) if callable(below) else below),
                *(behaviour.command or self._session.command),
                *(arguments if arguments is not None else behaviour.arguments or (role,)),
            ),
            variables=variables,
            surroundings=self._surroundings(place),
            secrets=self._session.settings.file.secrets,
            server_url=server.url if server else self._session.server_url,
            line=bus,
            pid1=pid1,
            offline=offline,
        )
        return self._keep(begin(start, self._deadline_s))

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

    # -- fixtures -------------------------------------------------------------------------

    def has_fixture(self, name: str) -> bool:
        """Tell whether conform.toml describes a behaviour."""
        return name in self._session.settings.file.fixtures

    def described(self, name: str) -> str | None:
        """Return the name of a fixture if conform.toml describes it, else None."""
        return name if self.has_fixture(name) else None

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

    def _require_time(self) -> None:
        if self._session.cancelled or time.monotonic() > self._deadline_s:
            raise CannotJudge("time was up, or the suite was interrupted")

    def _keep(self, run: Run) -> Run:
        """Answer for a run that has begun."""
        self.runs.append(run)
        if self._session.cancelled:  # it began while all others were being ended
            run.close()
            raise CannotJudge("the suite was interrupted")
        return run

    def _ask(self, arguments: tuple[str, ...]) -> str | None:
        """Return what the agent prints; None if it failed."""
        run = self.run("-", arguments=arguments, bare=True)
        try:
            good = run.exit_code(within_s=ANSWER_S) == 0
        except Violation:  # the check of that rule will tell; to others it is unknown
            good = False
        run.close()
        self.runs.remove(run)  # it is nothing that the check did
        return run.stdout if good else None

    def _place(self) -> Place:
        root = Path(tempfile.mkdtemp(prefix="run-", dir=self._session.root))
        self._stack.callback(remove_tree, root)
        job_id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        parts = {name: root / name for name in ("staging", "buffer", "work", "home", "tmp")}
        for part in parts.values():
            part.mkdir()
        del parts["tmp"]
        return Place(root=root, job_id=job_id, prefix=f"conform:{uuid.uuid4().hex}:", **parts)

    def _surroundings(self, place: Place) -> dict[str, str]:
        return {
            **self._session.host_environment(),
            "HOME": str(place.home),
            "TMPDIR": str(place.root / "tmp"),
        }

    def _valid(self, place: Place, role: str, url: str, behaviour: Fixture) -> dict[str, str]:
        """Return a valid environment of a role, with what a fixture adds to it."""
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
        return str(self._session.once(("published", role), lambda: self._publish(role)))

    def _publish(self, role: str) -> Path:
        run = self.run(role)
        if run.exit_code() != 0:
            raise CannotJudge(f"the role {role}, which another needs, ended with {run.end_words()}")
        if not run.job_dir.is_dir():
            raise CannotJudge(f"the role {role}, which another needs, published nothing")
        kept = self._session.root / f"published-{role}" / run.job_id
        shutil.copytree(run.job_dir, kept, symlinks=True)
        return kept

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


def _merge(settings: Mapping[str, str], env: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**settings, **env}
    return {name: value for name, value in merged.items() if value is not None}

"""What is asked of an agent, and the complete environment that follows from it (Contract §2).

The environment is built from nothing, in layers of which a later one wins:

1. what any process needs of its parent (`PASSED_ON`); no ``BAQUP_*`` of the caller is among it;
2. the controller's own defaults: a fresh job id, JSON logs;
3. the lines of an env file;
4. the options that were given;
5. single variables (``--env``).

The controller then reads the job's id, staging root and key prefix back from the result, so that
it watches exactly what the agent was told.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from baqup_agent.controller.agents import AgentCommand
from baqup_agent.controller.liveness import Patience
from baqup_agent.errors import ConfigError
from baqup_agent.staging.job_id import check_job_id

#: Variables of the caller that an agent gets.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",  # without it a Python in an unusual place may not start at all
)

#: Beginnings of the names of further variables that an agent gets.
PASSED_ON_PREFIXES = ("LC_", "PYTHON")

#: Where messages go by default: a file that lasts as long as the run.
FILE_BUS = "file"

#: A server of our own that lasts as long as the run.
EMBEDDED_BUS = "embedded"

_JOB_ID = "BAQUP_JOB_ID"
_STAGING = "BAQUP_STAGING_DIR"
_BUS_URL = "BAQUP_BUS_URL"
_DEFAULT_PREFIX = "baqup:"


@frozen
class JobRequest:
    """One job, as a person or a program asks for it; None leaves the choice to the defaults.

    Attributes:
        agent: the agent's command.
        role: what it shall do; the agent itself judges whether it knows the role.
        staging: root of staging, ``BAQUP_STAGING_DIR``.
        source: ``BAQUP_SOURCE_PATH``.
        published: a published directory to read from: it becomes ``BAQUP_SOURCE_PATH``, and its
            parent the root of staging if none is given.
        target: ``BAQUP_TARGET_PATH``.
        excludes: ``BAQUP_SOURCE_EXCLUDE``.
        job_id: a UUID.
        timeout_s: ``BAQUP_JOB_TIMEOUT``, seconds.
        log_level: ``BAQUP_AGENT_LOG_LEVEL``.
        trace: ``BAQUP_AGENT_TRACE_FILE``.
        bus: ``file``, ``embedded`` or a URL.
        patience: how long the agent may be silent before it is probed and killed (Contract §1);
            None lets it be silent for ever.
        file_variables: what an env file says.
        variables: what wins over everything else.
    """

    agent: AgentCommand
    role: str
    staging: Path | None = None
    source: Path | None = None
    published: Path | None = None
    target: Path | None = None
    excludes: tuple[str, ...] = ()
    job_id: str | None = None
    timeout_s: int | None = None
    log_level: str | None = None
    trace: Path | None = None
    bus: str | None = field(default=None, repr=False)
    patience: Patience | None = field(factory=Patience)
    file_variables: Mapping[str, str] = field(factory=dict, repr=False)
    variables: Mapping[str, str] = field(factory=dict, repr=False)

    @property
    def bus_choice(self) -> str:
        """``file``, ``embedded`` or the URL that is to be used."""
        return (
            self.variables.get(_BUS_URL)
            or self.bus
            or self.file_variables.get(_BUS_URL)
            or FILE_BUS
        )


@frozen
class JobPlan:
    """A job that can be started.

    Attributes:
        agent: the agent's command.
        role: its role.
        job_id: the job's UUID.
        staging: root of staging, absolute.
        bus_url: where messages go; may hold a password.
        key_prefix: what every key on the bus begins with.
        environment: all that the agent sees; may hold secrets.
        withheld: names of the caller's ``BAQUP_*`` variables that were not passed on.
    """

    agent: AgentCommand
    role: str
    job_id: str
    staging: Path
    bus_url: str = field(repr=False)
    key_prefix: str
    environment: Mapping[str, str] = field(repr=False)
    withheld: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """The whole command line."""
        return (*self.agent.argv, self.role)

    @property
    def directory(self) -> Path:
        """The job's directory, which holds the manifest in the end (Contract §4)."""
        return self.staging / self.job_id


def make_plan(request: JobRequest, *, bus_url: str, inherited: Mapping[str, str]) -> JobPlan:
    """Build the agent's environment.

    Args:
        request: what is asked for.
        bus_url: the bus that `JobRequest.bus_choice` led to.
        inherited: the caller's environment.

    Raises:
        ConfigError: there is no root of staging, or the job id is no UUID.
    """
    environment = {
        **_passed_on(inherited),
        _JOB_ID: str(uuid.uuid4()),
        "BAQUP_AGENT_LOG_FORMAT": "json",
        **request.file_variables,
        **_options(request, request.file_variables),
        **request.variables,
        _BUS_URL: bus_url,
    }
    if not environment.get(_STAGING):
        raise ConfigError(f"no staging directory is given; add --staging DIR or set {_STAGING}")
    environment[_STAGING] = str(_absolute(Path(environment[_STAGING])))
    return JobPlan(
        agent=request.agent,
        role=request.role,
        job_id=check_job_id(environment[_JOB_ID]),
        staging=Path(environment[_STAGING]),
        bus_url=bus_url,
        key_prefix=environment.get("BAQUP_BUS_KEY_PREFIX", _DEFAULT_PREFIX),
        environment=environment,
        withheld=tuple(
            sorted(
                name
                for name in inherited
                if name.startswith("BAQUP_") and environment.get(name) != inherited[name]
            )
        ),
    )


def _passed_on(inherited: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in inherited.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }


def _options(request: JobRequest, from_file: Mapping[str, str]) -> dict[str, str]:
    if request.source is not None and request.published is not None:
        raise ConfigError("--source and --from both set BAQUP_SOURCE_PATH; give one of the two")
    staging = request.staging
    if staging is None and request.published is not None and _STAGING not in from_file:
        staging = _absolute(request.published).parent
    options = {
        _JOB_ID: request.job_id,
        _STAGING: _text(staging),
        "BAQUP_SOURCE_PATH": _text(request.source or request.published),
        "BAQUP_TARGET_PATH": _text(request.target),
        "BAQUP_SOURCE_EXCLUDE": json.dumps(request.excludes) if request.excludes else None,
        "BAQUP_JOB_TIMEOUT": None if request.timeout_s is None else str(request.timeout_s),
        "BAQUP_AGENT_LOG_LEVEL": request.log_level,
        "BAQUP_AGENT_TRACE_FILE": _text(request.trace),
    }
    return {name: value for name, value in options.items() if value is not None}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(_absolute(path))


def _absolute(path: Path) -> Path:
    # Not resolve(): what a link means is the agent's decision (Contract §7).
    return path.absolute()

"""One job of an agent in a container: its environment, its volumes, its times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import Factory, field, frozen

from baqup_agent.config.variables import VARIABLES
from baqup_agent.errors import ConfigError
from baqup_agent.packaging.description import Description
from baqup_agent.packaging.environment import (
    JOB_ID,
    SOURCE,
    STAGING,
    TARGET,
    ContainerEnvironment,
    container_environment,
)
from baqup_agent.packaging.image_reference import check_image

#: The volumes that last no longer than the container.
PASSING = frozenset({"buffer", "tmp"})

#: The variable that tells where messages wait for the bus.
BUFFER = "BAQUP_BUS_FALLBACK_DIR"


def _environment(placement: Placement) -> ContainerEnvironment:
    return container_environment(placement.description.schema, placement.role, placement.values)


@frozen
class Placement:
    """One job of an agent, as it is to be run in a container.

    Attributes:
        description: what the agent says of itself.
        role: what it shall do.
        image: the image that holds it.
        values: variables that were given, by name; may hold secrets.
        environment: what follows from all that.

    Raises:
        ConfigError: what was given does not do.
    """

    description: Description
    role: str
    image: str
    values: Mapping[str, str] = field(factory=dict, repr=False)
    environment: ContainerEnvironment = field(
        init=False, default=Factory(_environment, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        check_image(self.image)
        places = list(self.mounts())
        wrong = [
            f"the volume {volume} cannot be mounted at {path!r}; give an absolute path without a "
            "colon that no other volume has"
            for volume, path in places
            if not path.startswith("/")
            or ":" in path
            or [each for _, each in places].count(path) > 1
        ]
        if wrong:
            raise ConfigError(*wrong)

    @property
    def job_id(self) -> str | None:
        """The job's id, if one was given."""
        return self.values.get(JOB_ID)

    def mounts(self) -> Iterator[tuple[str, str]]:
        """Yield the volumes' names and where they are mounted, the durable ones first."""
        plain = self.environment.plain
        staging = plain[STAGING].rstrip("/")
        yield "staging", staging or "/"
        for name, volume in ((SOURCE, "source"), (TARGET, "target")):
            path = plain.get(name)
            if path is not None and not f"{path}/".startswith(f"{staging}/"):
                yield volume, path
        yield "buffer", self.text(BUFFER)
        yield "tmp", "/tmp"  # noqa: S108  a volume of the container's own

    def text(self, name: str) -> str:
        """The value of a variable: as given, or the schema's default, or the contract's."""
        known = {
            **{variable.name: variable.default for variable in VARIABLES},
            **self.environment.defaults,
            **self.environment.plain,
        }
        return str(known[name])

    def seconds(self, name: str) -> int:
        """The value of a variable that counts something."""
        return int(self.text(name))

"""The compose file of a project: the agent, and a bus for it to report to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.packaging.environment import BUS_URL, JOB_ID
from baqup_agent.packaging.kubernetes import USER_ID
from baqup_agent.packaging.placement import PASSING, Placement
from baqup_agent.packaging.quantities import compose_size

#: The bus of the project: any Redis or Valkey would do.
_BUS_IMAGE = "valkey/valkey:8-alpine"

_BUS = "bus"

_UUID_REMEDY = "set it to a new UUID"


def compose_file(placement: Placement) -> dict[str, Any]:
    """Return the compose file of an agent that is built from the folder it lies in.

    Raises:
        ConfigError: a variable that the role demands has no value, or one is malformed.
    """
    volumes = [volume for volume, _ in placement.mounts() if volume not in {"source", *PASSING}]
    return {
        "name": placement.description.name,
        "services": {placement.description.name: _agent(placement), _BUS: _bus()},
        "volumes": {volume: {} for volume in volumes},
    }


def _agent(placement: Placement) -> dict[str, Any]:
    description = placement.description
    service = {
        "build": ".",
        "image": placement.image,
        "command": [placement.role],
        "environment": _environment(placement),
        "depends_on": {_BUS: {"condition": "service_healthy"}},
        "restart": "no",  # one run is one job
        "stop_grace_period": f"{description.stop_grace_s}s",
        "user": f"{USER_ID}:{USER_ID}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [f"{path}:uid={USER_ID},gid={USER_ID},mode=0700" for path in _passing(placement)],
        "volumes": [
            _mount(volume, path) for volume, path in placement.mounts() if volume not in PASSING
        ],
    }
    memory = description.info.get("requirements", {}).get("recommended_memory")
    return service | ({"mem_limit": compose_size(str(memory))} if memory else {})


def _environment(placement: Placement) -> Mapping[str, str | None]:
    """Values as they are; the job's id and secrets come from whoever starts it, or an .env."""
    plain = {**placement.environment.plain, BUS_URL: f"redis://{_BUS}:6379/0"}
    secrets = {
        # Null hands the caller's variable on if there is one, and sets none otherwise.
        name: f"${{{name}:?set it}}" if needed else None
        for name, needed in placement.environment.secrets.items()
    }
    return {
        JOB_ID: f"${{{JOB_ID}:?{_UUID_REMEDY}}}",
        **{name: text.replace("$", "$$") for name, text in plain.items()},
        **secrets,
    }


def _passing(placement: Placement) -> list[str]:
    """The places that last as long as the container, without those that lie in one another."""
    paths = sorted(path for volume, path in placement.mounts() if volume in PASSING)
    return [path for path in paths if not any(path.startswith(f"{each}/") for each in paths)]


def _mount(volume: str, path: str) -> dict[str, Any]:
    if volume == "source":
        return {"type": "bind", "source": "./source", "target": path, "read_only": True}
    return {"type": "volume", "source": volume, "target": path}


def _bus() -> dict[str, Any]:
    return {
        "image": _BUS_IMAGE,
        "command": ["valkey-server", "--save", "", "--appendonly", "no"],
        "healthcheck": {
            "test": ["CMD", "valkey-cli", "ping"],
            "interval": "1s",
            "timeout": "1s",
            "retries": 30,
        },
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "user": f"{USER_ID}:{USER_ID}",
    }

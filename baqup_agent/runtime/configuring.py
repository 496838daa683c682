"""Reads a job's environment for one agent and role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from baqup_agent.agent import Agent
from baqup_agent.bus.url import parse_bus_url
from baqup_agent.config.load import Loaded, load
from baqup_agent.config.schema import schema_of
from baqup_agent.config.variables import declared
from baqup_agent.contract import Role
from baqup_agent.errors import BusRefused


def read(agent_class: type[Agent], role: Role | None, environ: Mapping[str, str]) -> Loaded:
    """Load ``environ`` against what the agent declares and the role requires."""
    required = () if role is None else agent_class.requires.get(role.value, ())
    schema = schema_of(declared(agent_class.variables).values(), required)
    loaded = load(schema, environ)
    return evolve(loaded, problems=(*loaded.problems, *_further_problems(loaded.values)))


def _further_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What a schema cannot say."""
    url = values.get("BAQUP_BUS_URL")
    if url is not None:
        try:
            parse_bus_url(url)
        except BusRefused as error:
            yield from error.problems
    # Better no backup than one in the clear that was asked to be encrypted.
    if values.get("BAQUP_ARTIFACT_ENCRYPT"):
        yield "BAQUP_ARTIFACT_ENCRYPT='true': this version cannot encrypt; unset it"
    if values.get("BAQUP_ARTIFACT_SPLIT_SIZE", "0") != "0":
        yield "BAQUP_ARTIFACT_SPLIT_SIZE: this version cannot split artifacts; set it to 0"

"""From loaded values to typed settings; the package's one cattrs converter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from baqup_agent.config.settings import (
    AgentSettings,
    ArtifactSettings,
    BusSettings,
    JobSettings,
    Settings,
)
from baqup_agent.contract import LogLevel
from baqup_agent.security.secret import Secret


def _by_variable(record: Any) -> Any:
    """Structure ``record`` from a mapping whose keys are the fields' variables."""
    names = {
        entry.name: override(rename=entry.metadata["variable"])
        for entry in attrs.fields(record)
        if "variable" in entry.metadata
    }
    return make_dict_structure_fn(record, _CONVERTER, **names)  # type: ignore[arg-type]


def _secret(value: Any, _: type[Secret]) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(value))


_CONVERTER = Converter()
_CONVERTER.register_structure_hook(Path, lambda value, _: Path(value))
_CONVERTER.register_structure_hook(LogLevel, lambda value, _: LogLevel.parse(value))
_CONVERTER.register_structure_hook(Secret, _secret)
_CONVERTER.register_structure_hook_factory(attrs.has, _by_variable)


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Return the settings in ``values``, which were loaded and are valid."""
    return Settings(
        job=_CONVERTER.structure(values, JobSettings),
        agent=_CONVERTER.structure(values, AgentSettings),
        artifact=_CONVERTER.structure(_with_compression(values), ArtifactSettings),
        bus=bus_settings_of(values),
        staging_dir=Path(values["BAQUP_STAGING_DIR"]),
    )


def bus_settings_of(values: Mapping[str, Any]) -> BusSettings:
    """Return the settings of the bus alone, for a report on a configuration that is broken."""
    return _CONVERTER.structure(values, BusSettings)


def _with_compression(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fold the switch ``BAQUP_ARTIFACT_COMPRESS`` into the algorithm."""
    if values.get("BAQUP_ARTIFACT_COMPRESS", True):
        return values
    return {**values, "BAQUP_ARTIFACT_COMPRESS_ALGORITHM": "none"}

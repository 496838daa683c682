"""Configuration: what an agent reads, declared once and typed (Contract §2).

`baqup_agent.config.fields` tells how settings are declared. Everything else follows from the
declaration: the loader, the JSON Schema, the words of ``--help``, the table and the template. Who
has a JSON Schema instead comes by `load_config` and `validate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.config.declaration import DeclarationError
    from baqup_agent.config.fields import (
        array,
        duration,
        enum,
        flag,
        hostname,
        integer,
        number,
        path,
        port,
        secret,
        section,
        size,
        text,
        uri,
    )
    from baqup_agent.config.findings import Finding
    from baqup_agent.config.load import load_config
    from baqup_agent.config.schema_loading import validate
    from baqup_agent.config.units import size_bytes
    from baqup_agent.config.variables import Kind, Variable

__all__ = [
    "DeclarationError",
    "Finding",
    "Kind",
    "Variable",
    "array",
    "duration",
    "enum",
    "flag",
    "hostname",
    "integer",
    "load_config",
    "number",
    "path",
    "port",
    "secret",
    "section",
    "size",
    "size_bytes",
    "text",
    "uri",
    "validate",
]

_HOMES = {
    "DeclarationError": "declaration",
    "Finding": "findings",
    "Kind": "variables",
    "Variable": "variables",
    "load_config": "load",
    "size_bytes": "units",
    "validate": "schema_loading",
    **dict.fromkeys(
        (
            "array",
            "duration",
            "enum",
            "flag",
            "hostname",
            "integer",
            "number",
            "path",
            "port",
            "secret",
            "section",
            "size",
            "text",
            "uri",
        ),
        "fields",
    ),
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

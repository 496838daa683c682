"""Configuration: variables, schema, coercion and typed settings (Contract §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.config.load import load_config

__all__ = ["load_config"]

__getattr__, __dir__ = lazy_names(__name__, {"load_config": "load"})

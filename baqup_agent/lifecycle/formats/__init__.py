"""Lifecycles as files: stored as JSON or YAML, exported to SCXML, `transitions` and XState.

The stored form keeps what an author declares, phase by phase, and loading it builds the lifecycle
by `refine`, with all of its checks. Callables are stored by name; a loaded file runs none of them
until a machine calls one. Whether the result holds is for the proof to say.

The exports are for other tools and lead nowhere back.
"""

from __future__ import annotations

from baqup_agent.lifecycle.formats.files import load_file, loads
from baqup_agent.lifecycle.formats.named import Named, UnresolvedName
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError
from baqup_agent.lifecycle.formats.scxml import to_scxml
from baqup_agent.lifecycle.formats.stored import from_json, to_json
from baqup_agent.lifecycle.formats.to_core import to_transitions
from baqup_agent.lifecycle.formats.xstate import to_xstate
from baqup_agent.lifecycle.formats.yaml_text import from_yaml, to_yaml

__all__ = [
    "LifecycleFormatError",
    "Named",
    "UnresolvedName",
    "from_json",
    "from_yaml",
    "load_file",
    "loads",
    "to_json",
    "to_scxml",
    "to_transitions",
    "to_xstate",
    "to_yaml",
]

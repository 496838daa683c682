"""baqup-agent: write backup agents whose lifecycle is declared, proven and reported honestly.

The names below are the public surface. They are loaded when they are first used, so that
importing the package is cheap and configures nothing: no handler, no signal, no environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.agent import Agent
    from baqup_agent.bus.client import BusClient
    from baqup_agent.bus.heartbeat import HeartbeatThread
    from baqup_agent.config.variables import Variable
    from baqup_agent.contract import AgentState, ExitCode, LogLevel, Role
    from baqup_agent.errors import BaqupError, JobCancelled
    from baqup_agent.job.job import Job
    from baqup_agent.job.triggers import Trigger, Triggers
    from baqup_agent.lifecycle.declaration import (
        CONTRACT,
        Lifecycle,
        SignalPolicy,
        State,
        Transition,
    )
    from baqup_agent.lifecycle.illegal import IllegalTransition, RefusedTransition
    from baqup_agent.lifecycle.refinement import LifecycleDeclarationError, refine
    from baqup_agent.observability.logger import Logger
    from baqup_agent.security.paths import validate_path
    from baqup_agent.security.secret import Secret
    from baqup_agent.staging.artifact import Artifact
    from baqup_agent.staging.checksum import compute_checksum
    from baqup_agent.staging.manifest import Manifest
    from baqup_agent.staging.publication import atomic_write

__version__ = "0.1.0"

__all__ = [
    "CONTRACT",
    "Agent",
    "AgentState",
    "Artifact",
    "BaqupError",
    "BusClient",
    "ExitCode",
    "HeartbeatThread",
    "IllegalTransition",
    "Job",
    "JobCancelled",
    "Lifecycle",
    "LifecycleDeclarationError",
    "LogLevel",
    "Logger",
    "Manifest",
    "RefusedTransition",
    "Role",
    "Secret",
    "SignalPolicy",
    "State",
    "Transition",
    "Trigger",
    "Triggers",
    "Variable",
    "__version__",
    "atomic_write",
    "compute_checksum",
    "refine",
    "validate_path",
]

#: The module that each public name lives in.
_HOMES = {
    "CONTRACT": "lifecycle.declaration",
    "Agent": "agent",
    "AgentState": "contract",
    "Artifact": "staging.artifact",
    "BaqupError": "errors",
    "BusClient": "bus.client",
    "ExitCode": "contract",
    "HeartbeatThread": "bus.heartbeat",
    "IllegalTransition": "lifecycle.illegal",
    "Job": "job.job",
    "JobCancelled": "errors",
    "Lifecycle": "lifecycle.declaration",
    "LifecycleDeclarationError": "lifecycle.refinement",
    "LogLevel": "contract",
    "Logger": "observability.logger",
    "Manifest": "staging.manifest",
    "RefusedTransition": "lifecycle.illegal",
    "Role": "contract",
    "Secret": "security.secret",
    "SignalPolicy": "lifecycle.declaration",
    "State": "lifecycle.declaration",
    "Transition": "lifecycle.declaration",
    "Trigger": "job.triggers",
    "Triggers": "job.triggers",
    "Variable": "config.variables",
    "atomic_write": "staging.publication",
    "compute_checksum": "staging.checksum",
    "refine": "lifecycle.refinement",
    "validate_path": "security.paths",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

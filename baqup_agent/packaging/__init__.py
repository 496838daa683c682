"""An agent on its way into a container: labels, manifests, and a project to begin with.

What stands in a manifest is derived: from what the agent says of itself, from the schema of its
environment, from the lifecycle and from the exit codes. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.packaging.comparison import Difference, compare
    from baqup_agent.packaging.description import Description, describe
    from baqup_agent.packaging.dockerfile import labels_in
    from baqup_agent.packaging.exit_policy import pod_failure_policy
    from baqup_agent.packaging.kubernetes import JobManifest, job_manifest
    from baqup_agent.packaging.placement import Placement

__all__ = [
    "Description",
    "Difference",
    "JobManifest",
    "Placement",
    "compare",
    "describe",
    "job_manifest",
    "labels_in",
    "pod_failure_policy",
]

#: The module that each public name lives in.
_HOMES = {
    "Description": "description",
    "Difference": "comparison",
    "JobManifest": "kubernetes",
    "Placement": "placement",
    "compare": "comparison",
    "describe": "description",
    "job_manifest": "kubernetes",
    "labels_in": "dockerfile",
    "pod_failure_policy": "exit_policy",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

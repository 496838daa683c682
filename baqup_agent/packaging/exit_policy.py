"""What a Kubernetes Job does on each exit code, derived from the taxonomy (Contract §5).

The rules, in the order in which Kubernetes tries them:

1. ``FailJob``, no further attempt: codes whose errors are not retried by default, and codes
   behind which a manifest may stand. Published work is never touched, so a second attempt under
   the same job id could only be refused; the controller adopts what is there instead.
2. ``Ignore``, attempt again without counting: the pod was evicted, pre-empted or drained.
3. ``Count``, attempt again and count it: the codes that may pass.

What is left, the codes that a shell or a signal makes among it, Kubernetes counts by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.contract import EXIT_CODES, ExitCode, Retriable
from baqup_agent.errors import BaqupError

#: Codes that an agent may end with although its manifest is published (Contract §3, §5).
_MAY_BE_PUBLISHED = frozenset({ExitCode.COMPLETED_UNREPORTED, ExitCode.PARTIAL_FAILURE})


def action(code: ExitCode) -> str:
    """Return the action for one code: ``FailJob`` or ``Count``."""
    retriable = EXIT_CODES[code].retriable
    if code in _MAY_BE_PUBLISHED or retriable is Retriable.NO:
        return "FailJob"
    if retriable is Retriable.YES:
        return "Count"
    return "Count" if _by_default(code) else "FailJob"


def pod_failure_policy(container: str) -> dict[str, Any]:
    """Return the ``podFailurePolicy`` of a Job.

    Args:
        container: the name of the container whose exit codes count.
    """
    codes: Mapping[str, list[int]] = {
        wanted: [int(code) for code in ExitCode if code and action(code) == wanted]
        for wanted in ("FailJob", "Count")
    }
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "rules": [
            _on_codes("FailJob", container, codes["FailJob"]),
            {"action": "Ignore", "onPodConditions": [disrupted]},
            _on_codes("Count", container, codes["Count"]),
        ]
    }


def explanation() -> list[str]:
    """Return one line for each exit code: its action and what it means."""
    return [
        f"{int(code):3} {action(code):7} {facts.meaning}"
        for code, facts in EXIT_CODES.items()
        if code is not ExitCode.SUCCESS
    ]


def _on_codes(word: str, container: str, codes: list[int]) -> dict[str, Any]:
    rule = {"containerName": container, "operator": "In", "values": codes}
    return {"action": word, "onExitCodes": rule}


def _by_default(code: ExitCode) -> bool:
    """Whether the broadest error of a code, the one nearest to the tree's root, is retriable."""
    level: list[type[BaqupError]] = [BaqupError]
    while level:
        level = [child for parent in level for child in parent.__subclasses__()]
        for cls in level:
            if cls.exit_code == code:
                return cls.retriable
    return False

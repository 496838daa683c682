"""The Kubernetes Job of one agent in one role.

Nothing in it is chosen by hand where the contract has an answer: the grace between SIGTERM and
SIGKILL and the deadlines come from the lifecycle (§1), the environment from the schema (§2), the
reaction to exit codes from their taxonomy (§5), the restrictions from §7.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from baqup_agent.bus.url import FileUrl, parse_bus_url
from baqup_agent.contract import MESSAGE_TTL_S
from baqup_agent.errors import ConfigError
from baqup_agent.lifecycle.declaration import CONTRACT
from baqup_agent.packaging.environment import BUS_URL, JOB_ID, STAGING
from baqup_agent.packaging.exit_policy import explanation, pod_failure_policy
from baqup_agent.packaging.placement import BUFFER, PASSING, Placement
from baqup_agent.packaging.quantities import kubernetes_quantity

#: User and group of the container: any but root (Contract §7).
USER_ID = 1000

#: Seconds between attempts: Kubernetes begins with this pause and doubles it each time...
_FIRST_PAUSE_S = 10

#: ...up to this one.
_LONGEST_PAUSE_S = 360

#: What Kubernetes calls a label of DNS, and its greatest length, characters.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_MAX = 63

#: Room of the volume that buffers messages: twice what an agent buffers at most.
_BUFFER_SIZE = "128Mi"

#: The job's own UID, which Kubernetes writes on each of its pods: the same for every attempt.
_JOB_UID = "metadata.labels['batch.kubernetes.io/controller-uid']"


@frozen
class JobManifest:
    """What is asked for.

    Attributes:
        placement: the job itself.
        namespace: where it shall run; None leaves it to ``kubectl``.
        name: the Job's name; None lets Kubernetes make a new one each time.
        secret: the Secret that holds the values of secret variables; None for one of the agent's
            own name.
        claims: the PersistentVolumeClaim of each volume by its name: staging, source, target.

    Raises:
        ConfigError: a name is none that Kubernetes takes, or the bus is a directory that the
            container could not write to.
    """

    placement: Placement
    namespace: str | None = None
    name: str | None = None
    secret: str | None = None
    claims: Mapping[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        names = {
            "the agent's name": self.placement.description.name,
            "the namespace": self.namespace,
            "the Job's name": self.name,
            "the Secret's name": self.secret,
            **{f"the claim for {volume}": claim for volume, claim in self.claims.items()},
        }
        wrong = [
            f"{what} {name!r} is none that Kubernetes takes; use lower-case letters, digits and "
            f"hyphens, {_NAME_MAX} at most"
            for what, name in names.items()
            if name is not None and not (_NAME.fullmatch(name) and len(name) <= _NAME_MAX)
        ]
        if wrong:
            raise ConfigError(*wrong)
        if self._bus_volume() is None:
            raise ConfigError(
                f"BAQUP_BUS_URL={self.placement.text(BUS_URL)!r}: the container cannot write "
                "there, its root is read-only and no volume is mounted there; give a directory "
                f"in staging, such as file://{self.placement.text(STAGING).rstrip('/')}/.bus, "
                "or the URL of a Redis"
            )

    @property
    def bus_passes(self) -> bool:
        """Whether the bus is a directory that is gone when the pod is."""
        return self._bus_volume() in PASSING

    def _bus_volume(self) -> str | None:
        """The volume that a bus of files lies in, None for none; empty if the bus is elsewhere."""
        text = self.placement.environment.plain.get(BUS_URL, "")
        if not text.startswith("file:"):
            return ""
        bus = parse_bus_url(text)
        path = os.path.normpath(bus.directory) if isinstance(bus, FileUrl) else "/"
        volumes = {
            place: volume
            for volume, place in self.placement.mounts()
            if f"{path}/".startswith(f"{place.rstrip('/')}/")
        }
        # Of volumes in one another the innermost is what stands there.
        volume = volumes[max(volumes, key=len)] if volumes else "source"
        return None if volume == "source" else volume

    @property
    def secret_name(self) -> str:
        """The Secret's name."""
        return self.secret or f"{self.placement.description.name}-secrets"

    def claim(self, volume: str) -> str:
        """The claim of a durable volume."""
        return self.claims.get(volume, f"baqup-{volume}")


def job_manifest(order: JobManifest) -> dict[str, Any]:
    """Return the Job as the Kubernetes API takes it (``batch/v1``).

    Raises:
        ConfigError: a variable that the role demands has no value, or one is malformed.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(order),
        "spec": {
            "backoffLimit": _retries(order.placement),
            "activeDeadlineSeconds": deadline_s(order.placement),
            "ttlSecondsAfterFinished": MESSAGE_TTL_S,  # as long as its status stays on the bus
            "podFailurePolicy": pod_failure_policy(order.placement.description.name),
            "template": {
                "metadata": {"labels": _labels(order.placement)},
                "spec": _pod(order),
            },
        },
    }


def notes(order: JobManifest) -> list[str]:
    """Return lines for people: how to start it, what it needs, what its policy says."""
    placement = order.placement
    volumes = [volume for volume, _ in placement.mounts() if volume not in PASSING]
    claims = ", ".join(order.claim(volume) for volume in volumes)
    lines = [
        f"One {placement.role} by {placement.description.name} {placement.description.version}.",
        f"Start: kubectl {'apply' if order.name else 'create'} -f FILE",
        f"Needs the PersistentVolumeClaims {claims}, writable or readable for user {USER_ID}.",
        f"Needs the image {placement.image} in a registry, or on every node.",
        *_bus_notes(order),
    ]
    secrets = placement.environment.secrets
    if needed := [name for name, demanded in secrets.items() if demanded]:
        lines.append(f"Needs in the Secret {order.secret_name}: {', '.join(needed)}.")
    if optional := [name for name, demanded in secrets.items() if not demanded]:
        lines.append(f"Takes from it if they are there: {', '.join(optional)}.")
    return [*lines, "What follows from an exit code (podFailurePolicy):", *explanation()]


def _bus_notes(order: JobManifest) -> list[str]:
    placement = order.placement
    lines = [f"Lost with the pod: {placement.text(BUFFER)}, where messages wait for the bus."]
    if BUS_URL not in placement.values and BUS_URL in placement.environment.plain:
        lines.append(
            f"Reports go to {placement.text(BUS_URL)}, since no {BUS_URL} was given; "
            f"another: --env {BUS_URL}=URL"
        )
    if order.bus_passes:
        lines.append(
            f"WARNING: {placement.text(BUS_URL)} is lost with the pod; name a directory in "
            f"{placement.text(STAGING)}, or the URL of a Redis."
        )
    return lines


def attempt_s(placement: Placement) -> int:
    """Return the longest attempt in seconds: every state's deadline, and the grace at its end."""
    limits = (state.deadline for state in CONTRACT.states if state.deadline is not None)
    states_s = sum(
        placement.seconds(limit.variable) if limit.variable else round(limit.seconds or 0)
        for limit in limits
    )
    grace_s = placement.description.stop_grace_s + placement.seconds("BAQUP_BUS_GRACE_PERIOD")
    return states_s + grace_s


def deadline_s(placement: Placement) -> int:
    """Return the seconds after which the Job is given up: all attempts and the pauses between."""
    retries = _retries(placement)
    pauses = (min(_FIRST_PAUSE_S << n, _LONGEST_PAUSE_S) for n in range(retries))
    return attempt_s(placement) * (retries + 1) + sum(pauses)


def _retries(placement: Placement) -> int:
    return max(placement.seconds("BAQUP_JOB_RETRY_MAX") - 1, 0)


def _metadata(order: JobManifest) -> dict[str, Any]:
    placement = order.placement
    naming = (
        {"name": order.name}
        if order.name
        else {"generateName": f"{placement.description.name}-{placement.role}-"}
    )
    place = {"namespace": order.namespace} if order.namespace else {}
    return {**naming, **place, "labels": _labels(placement)}


def _labels(placement: Placement) -> dict[str, str]:
    description = placement.description
    return {
        "app.kubernetes.io/name": description.name,
        "app.kubernetes.io/version": tag_of(description.version),
        "app.kubernetes.io/component": placement.role,
        "app.kubernetes.io/part-of": "baqup",
    }


def tag_of(version: str) -> str:
    """Return a version as a label or an image's tag can have it: ``1.0+2`` becomes ``1.0_2``."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", version)[:_NAME_MAX].strip("._-")


def _pod(order: JobManifest) -> dict[str, Any]:
    placement = order.placement
    return {
        "restartPolicy": "Never",  # the condition of a podFailurePolicy
        "terminationGracePeriodSeconds": placement.description.stop_grace_s,
        "activeDeadlineSeconds": attempt_s(placement),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(order)],
        "volumes": [_volume(order, volume) for volume, _ in placement.mounts()],
    }


def _container(order: JobManifest) -> dict[str, Any]:
    placement = order.placement
    return {
        "name": placement.description.name,
        "image": placement.image,
        "args": [placement.role],
        "env": _environment(order),
        "resources": _resources(placement),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": volume, "mountPath": path} | ({"readOnly": True} if volume == "source" else {})
            for volume, path in placement.mounts()
        ],
    }


def _environment(order: JobManifest) -> list[dict[str, Any]]:
    placement = order.placement
    given = placement.job_id
    identity = {"value": given} if given else {"valueFrom": {"fieldRef": {"fieldPath": _JOB_UID}}}
    return [
        {"name": JOB_ID, **identity},
        # Kubernetes would put other variables in the place of $(NAME), but for a doubled $.
        *(
            {"name": name, "value": text.replace("$", "$$")}
            for name, text in placement.environment.plain.items()
        ),
        *(
            _secret(order, name, needed=needed)
            for name, needed in placement.environment.secrets.items()
        ),
    ]


def _secret(order: JobManifest, name: str, *, needed: bool) -> dict[str, Any]:
    reference: dict[str, Any] = {"name": order.secret_name, "key": name}
    if not needed:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _resources(placement: Placement) -> dict[str, Any]:
    requirements = placement.description.info.get("requirements", {})
    given = placement.text("BAQUP_AGENT_MEMORY_LIMIT")
    limit = requirements.get("recommended_memory") if given == "auto" else given
    wanted = {"requests": requirements.get("min_memory"), "limits": limit}
    return {
        kind: {"memory": kubernetes_quantity(str(size))} for kind, size in wanted.items() if size
    }


def _volume(order: JobManifest, volume: str) -> dict[str, Any]:
    if volume == "buffer":
        return {"name": volume, "emptyDir": {"sizeLimit": _BUFFER_SIZE}}
    if volume == "tmp":
        return {"name": volume, "emptyDir": {}}
    return {"name": volume, "persistentVolumeClaim": {"claimName": order.claim(volume)}}

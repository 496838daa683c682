"""The Kubernetes Job of an agent: derived, valid, restricted, and silent about secrets."""

from __future__ import annotations

import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.contract import EXIT_CODES, STOP_GRACE_S
from baqup_agent.errors import ConfigError
from baqup_agent.packaging.compose import compose_file
from baqup_agent.packaging.description import Description
from baqup_agent.packaging.kubernetes import JobManifest, attempt_s, deadline_s, job_manifest, notes
from baqup_agent.packaging.placement import Placement
from baqup_agent.packaging.quantities import compose_size, kubernetes_quantity
from baqup_agent.packaging.yaml_text import to_yaml
from tests.packaging.descriptions import agent_fs, described, schema_with

SECRET = {"type": "string", "writeOnly": True}


def order(
    description: Description | None = None,
    role: str = "snapshot",
    values: dict[str, str] | None = None,
    **more: Any,
) -> JobManifest:
    """What is asked for."""
    placement = Placement(description or agent_fs(), role, "registry.example/x:1", values or {})
    return JobManifest(placement, **more)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def environment(job: dict[str, Any]) -> dict[str, Any]:
    """The container's variables: a value, or where it comes from."""
    return {
        each["name"]: each.get("value", each.get("valueFrom"))
        for each in pod(job)["containers"][0]["env"]
    }


@pytest.mark.parametrize("role", ["snapshot", "restore"])
def test_the_job_of_the_built_in_agent_is_valid(role: str) -> None:
    """The strictest schema there is has nothing to say, for the oldest version and the newest."""
    values = {"BAQUP_SOURCE_PATH": "/staging/some-job"} if role == "restore" else {}
    job = job_manifest(order(role=role, values=values))

    for version in ("1.29", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(job, version, strict=True)


def test_the_job_keeps_the_rules_that_no_schema_tells() -> None:
    """What the API server checks besides: the policy's condition, its container, its codes."""
    job = job_manifest(order())
    (container,) = pod(job)["containers"]
    policy = job["spec"]["podFailurePolicy"]["rules"]
    codes = [rule["onExitCodes"] for rule in policy if "onExitCodes" in rule]

    assert pod(job)["restartPolicy"] == "Never"
    assert {each["containerName"] for each in codes} == {container["name"]}
    assert all(
        0 not in each["values"] and each["values"] == sorted(set(each["values"])) for each in codes
    )
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod(job)["volumes"]
    }
    for value in job["metadata"]["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value)


def test_the_grace_is_the_lifecycles() -> None:
    """What the agent says it needs, or the SDK's own grace for one that does not say."""
    silent = described()
    assert pod(job_manifest(order()))["terminationGracePeriodSeconds"] == STOP_GRACE_S
    told = pod(job_manifest(order(described(stop_grace_seconds=99))))
    assert told["terminationGracePeriodSeconds"] == 99
    without = Description({k: v for k, v in silent.info.items() if k != "stop_grace_seconds"})
    assert pod(job_manifest(order(without)))["terminationGracePeriodSeconds"] == STOP_GRACE_S


def test_the_deadlines_let_every_state_have_its_time() -> None:
    """One attempt: 30 s, the job's timeout, 60 s, the stop's grace and the bus's; and all of them.

    Kubernetes waits 10 s before the second attempt, and twice as long each time.
    """
    values = {
        "BAQUP_JOB_TIMEOUT": "1000", "BAQUP_BUS_GRACE_PERIOD": "5", "BAQUP_JOB_RETRY_MAX": "4",
    }  # fmt: skip
    placement = order(values=values).placement
    job = job_manifest(order(values=values))

    assert attempt_s(placement) == 30 + 1000 + 60 + STOP_GRACE_S + 5
    assert deadline_s(placement) == 4 * attempt_s(placement) + 10 + 20 + 40
    assert job["spec"]["backoffLimit"] == 3
    assert job["spec"]["activeDeadlineSeconds"] == deadline_s(placement)
    assert pod(job)["activeDeadlineSeconds"] == attempt_s(placement)


def test_the_container_is_restricted() -> None:
    """§7: no root, no privilege, no capability, no writable root, no token."""
    spec = pod(job_manifest(order()))
    inner = spec["containers"][0]["securityContext"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False


def test_the_volumes_are_what_a_job_reads_and_writes() -> None:
    """Staging and the source outlive the pod, the source cannot be written to, the rest passes."""
    job = job_manifest(order(claims={"staging": "vault"}))
    mounts = {each["name"]: each for each in pod(job)["containers"][0]["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(job)["volumes"]}

    assert {name: each["mountPath"] for name, each in mounts.items()} == {
        "staging": "/staging",
        "source": "/source",
        "buffer": "/tmp/baqup-buffer",
        "tmp": "/tmp",
    }
    assert mounts["source"]["readOnly"] is True
    assert "readOnly" not in mounts["staging"]
    assert volumes["staging"]["persistentVolumeClaim"] == {"claimName": "vault"}
    assert volumes["source"]["persistentVolumeClaim"] == {"claimName": "baqup-source"}
    assert volumes["buffer"] == {"name": "buffer", "emptyDir": {"sizeLimit": "128Mi"}}


def test_volumes_are_mounted_where_the_environment_says() -> None:
    """What was given wins over our own places, and the variables say the same."""
    values = {
        "BAQUP_STAGING_DIR": "/mnt/out",
        "BAQUP_SOURCE_PATH": "/mnt/in",
        "BAQUP_BUS_FALLBACK_DIR": "/mnt/wait",
    }
    job = job_manifest(order(values=values))
    mounts = {each["name"]: each["mountPath"] for each in pod(job)["containers"][0]["volumeMounts"]}

    assert mounts == {
        "staging": "/mnt/out", "source": "/mnt/in", "buffer": "/mnt/wait", "tmp": "/tmp",
    }  # fmt: skip
    assert {name: environment(job)[name] for name in values} == values


def test_a_restore_reads_from_staging_and_writes_to_the_target() -> None:
    """A source inside staging needs no volume of its own."""
    job = job_manifest(order(role="restore", values={"BAQUP_SOURCE_PATH": "/staging/some-job"}))

    assert [each["name"] for each in pod(job)["volumes"]] == ["staging", "target", "buffer", "tmp"]
    assert environment(job)["BAQUP_TARGET_PATH"] == "/target"


def test_a_restore_without_its_source_is_refused() -> None:
    """Nobody can guess which backup is meant."""
    with pytest.raises(ConfigError, match=r"BAQUP_SOURCE_PATH is not set.*/staging/ID-OF-THE-JOB"):
        order(role="restore")


def test_the_jobs_id_is_its_uid_unless_one_is_given() -> None:
    """Every attempt has the same, and every Job its own."""
    derived = environment(job_manifest(order()))["BAQUP_JOB_ID"]
    given_id = "123e4567-e89b-12d3-a456-426614174000"
    given_one = environment(job_manifest(order(values={"BAQUP_JOB_ID": given_id})))

    path = "metadata.labels['batch.kubernetes.io/controller-uid']"
    assert derived == {"fieldRef": {"fieldPath": path}}
    assert given_one["BAQUP_JOB_ID"] == given_id
    assert job_manifest(order())["metadata"]["generateName"] == "agent-fs-snapshot-"
    assert job_manifest(order(name="nightly"))["metadata"]["name"] == "nightly"


def test_secrets_are_named_and_never_shown() -> None:
    """Neither a secret's value nor a URL with a password is anywhere in what is printed."""
    schema = schema_with(
        "BAQUP_SECRET_DB_PASSWORD",
        BAQUP_SECRET_DB_PASSWORD=SECRET,
        BAQUP_SECRET_DB_USER=SECRET,
        BAQUP_SOURCE_TOKEN=SECRET,
    )
    values = {
        "BAQUP_SECRET_DB_PASSWORD": "hunter2",
        "BAQUP_SOURCE_TOKEN": "hunter2",
        "BAQUP_BUS_URL": "redis://me:hunter2@bus:6379/0",
    }
    wanted = order(described(schema), values=values)

    job = job_manifest(wanted)
    printed = to_yaml(job, notes(wanted))

    assert "hunter2" not in printed
    assert "hunter2" not in repr(wanted)
    for name in values:
        assert environment(job)[name] == {"secretKeyRef": {"name": "agent-x-secrets", "key": name}}
    optional = environment(job)["BAQUP_SECRET_DB_USER"]["secretKeyRef"]
    assert optional == {"name": "agent-x-secrets", "key": "BAQUP_SECRET_DB_USER", "optional": True}


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@bus",
        "rediss://u:hunter2@bus:1/0?x=1",
        "redis://bus?password=hunter2",
        "unix://u:hunter2@/run/redis.sock",
        "redis://u:hunter2@[bus",
    ],
)
def test_a_password_in_any_url_comes_from_the_secret(url: str) -> None:
    """Even one that cannot be parsed."""
    job = job_manifest(order(described(schema_with()), values={"BAQUP_BUS_URL": url}))

    assert "hunter2" not in json.dumps(job)


def test_everything_that_is_missing_is_told_at_once() -> None:
    """Each with its purpose and the option that sets it."""
    schema = schema_with(
        "BAQUP_SOURCE_HOST",
        "BAQUP_SOURCE_PORT",
        BAQUP_SOURCE_HOST={"type": "string", "description": "server to read from"},
        BAQUP_SOURCE_PORT={"type": "integer"},
    )

    with pytest.raises(ConfigError) as caught:
        order(described(schema))

    host, port = caught.value.problems
    assert "server to read from" in host
    assert "--env BAQUP_SOURCE_HOST=VALUE" in host
    assert "BAQUP_SOURCE_PORT" in port


def test_what_a_given_variable_asks_for_is_missing_too() -> None:
    """Conditions of the schema are followed, not only its list."""
    schema = schema_with(BAQUP_SOURCE_HOST={"type": "string"})
    schema["dependentRequired"] = {"BAQUP_SOURCE_HOST": ["BAQUP_SECRET_KEY", "BAQUP_SOURCE_NAME"]}

    with pytest.raises(ConfigError, match="BAQUP_SOURCE_NAME"):
        order(described(schema), values={"BAQUP_SOURCE_HOST": "db"})

    both = {"BAQUP_SOURCE_HOST": "db", "BAQUP_SOURCE_NAME": "x"}
    job = job_manifest(order(described(schema), values=both))
    assert "optional" not in environment(job)["BAQUP_SECRET_KEY"]["secretKeyRef"]


def test_what_a_secret_asks_for_is_filled_in_as_well() -> None:
    """A secret that must be there can need another."""
    schema = schema_with("BAQUP_SECRET_A", BAQUP_SECRET_A=SECRET)
    schema["dependentRequired"] = {"BAQUP_SECRET_A": ["BAQUP_SECRET_B"]}

    job = job_manifest(order(described(schema)))

    for name in ("BAQUP_SECRET_A", "BAQUP_SECRET_B"):
        assert "optional" not in environment(job)[name]["secretKeyRef"]


def test_what_a_schema_requires_and_does_not_describe_is_given_all_the_same() -> None:
    """It is odd, but no reason to refuse, nor to go on for ever."""
    job = job_manifest(order(described({"required": ["BAQUP_STAGING_DIR", "BAQUP_BUS_URL"]})))

    assert environment(job)["BAQUP_STAGING_DIR"] == "/staging"


def test_a_value_is_taken_as_it_stands() -> None:
    """Kubernetes and compose put variables into values, but for a doubled dollar."""
    schema = schema_with(BAQUP_SOURCE_X={"type": "string"})
    placement = order(described(schema), values={"BAQUP_SOURCE_X": "a$(HOME)$$b${C}"}).placement

    job, compose = job_manifest(JobManifest(placement)), compose_file(placement)

    doubled = "a$$(HOME)$$$$b$${C}"
    assert environment(job)["BAQUP_SOURCE_X"] == doubled
    assert compose["services"]["agent-x"]["environment"]["BAQUP_SOURCE_X"] == doubled


@pytest.mark.parametrize(
    "values",
    [
        {"BAQUP_STAGING_DIR": "out"},
        {"BAQUP_SOURCE_PATH": "/in:put"},
        {"BAQUP_SOURCE_PATH": "/tmp"},
        {"BAQUP_SOURCE_PATH": "/x", "BAQUP_TARGET_PATH": "/x"},
    ],
)
def test_a_place_where_nothing_can_be_mounted_is_refused(values: dict[str, str]) -> None:
    """Relative, with a colon, or taken by another volume."""
    with pytest.raises(ConfigError, match="cannot be mounted at"):
        order(values=values)


@pytest.mark.parametrize(
    ("version", "label"), [("1.0", "1.0"), ("1.0+2", "1.0_2"), ("ü-1", "1"), ("x" * 99, "x" * 63)]
)
def test_any_version_makes_a_label(version: str, label: str) -> None:
    """Kubernetes takes few characters for one."""
    job = job_manifest(order(described(version=version)))

    assert job["metadata"]["labels"]["app.kubernetes.io/version"] == label


def test_a_wrong_value_is_told_before_a_cluster_tells_it() -> None:
    """The agent's own schema judges what was given."""
    with pytest.raises(ConfigError, match="BAQUP_JOB_TIMEOUT='soon'"):
        order(values={"BAQUP_JOB_TIMEOUT": "soon"})


def test_an_agent_without_a_schema_gets_what_the_contract_asks_for() -> None:
    """One in another language need not know --schema."""
    job = job_manifest(order(described()))

    assert set(environment(job)) >= {"BAQUP_JOB_ID", "BAQUP_STAGING_DIR", "BAQUP_BUS_URL"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"namespace": "Prod"}, "the namespace 'Prod'"),
        ({"name": "a" * 64}, "the Job's name"),
        ({"secret": "a_b"}, "the Secret's name 'a_b'"),
        ({"claims": {"staging": "-a"}}, "the claim for staging '-a'"),
    ],
)
def test_a_name_that_kubernetes_refuses_is_refused_here(more: dict[str, Any], message: str) -> None:
    """One line with the name and the rule."""
    with pytest.raises(ConfigError, match=message):
        order(**more)


@pytest.mark.parametrize(
    "image",
    [
        "x", "agent-x:1.0_2", "registry.example:5000/team/agent__x:V1", "[::1]:5000/x",
        "Registry.example/x", f"x@sha256:{'0a' * 32}", f"x:1@sha256:{'0' * 64}",
    ],
)  # fmt: skip
def test_a_name_of_an_image_is_taken(image: str) -> None:
    """With or without a server, its port, a tag and a digest."""
    job = job_manifest(JobManifest(Placement(agent_fs(), "snapshot", image)))

    assert pod(job)["containers"][0]["image"] == image


@pytest.mark.parametrize(
    "image",
    [
        "", " ", "bad image", "x\n", "Agent-X", "team/Agent", "x:", "x:a b", "x:-1", "-x", "x/",
        "/x", "a//b", "https://registry.example/x", "x@sha256:0", f"x:{'1' * 129}", "x" * 256, "ü",
    ],
)  # fmt: skip
def test_what_is_no_name_of_an_image_is_refused(image: str) -> None:
    """Before a cluster does, in one line that shows what one looks like."""
    with pytest.raises(ConfigError, match="is no name of an image; give one like") as caught:
        Placement(agent_fs(), "snapshot", image)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["/x", "/", "/source/.bus", "/staging/../x", "/staging2", "/staging/%2e%2e/x"]
)
def test_a_bus_where_the_container_cannot_write_is_refused(path: str) -> None:
    """Its root is read-only, and so is the source; the message names a place that would do."""
    with pytest.raises(ConfigError, match=r"give a directory in staging, .*file:///staging/\.bus"):
        order(values={"BAQUP_BUS_URL": f"file://{path}"})


def test_a_bus_that_is_lost_with_the_pod_is_told() -> None:
    """One of files in a passing volume; one in staging is as good as another."""
    passing = notes(order(values={"BAQUP_BUS_URL": "file:///tmp/bus"}))
    lasting = notes(order(values={"BAQUP_BUS_URL": "file:///staging/.bus"}))

    assert any(line.startswith("WARNING: file:///tmp/bus is lost with the pod") for line in passing)
    assert not any("WARNING" in line for line in lasting)


def test_a_bus_that_nobody_named_is_told() -> None:
    """The header names it, and the option for another; one that was given needs no word."""
    assumed = "\n".join(notes(order()))
    given_one = "\n".join(notes(order(values={"BAQUP_BUS_URL": "redis://bus:6379/1"})))

    assert "Reports go to redis://redis:6379/0" in assumed
    assert "--env BAQUP_BUS_URL=URL" in assumed
    assert "Reports go to" not in given_one
    for text in (assumed, given_one):
        assert "Lost with the pod: /tmp/baqup-buffer" in text
        assert "Needs the image registry.example/x:1 in a registry" in text


def test_the_memory_is_what_the_agent_asks_for() -> None:
    """Requests and limits follow its requirements, and a limit that was given goes before."""
    container = pod(job_manifest(order(described())))["containers"][0]
    narrow = pod(job_manifest(order(values={"BAQUP_AGENT_MEMORY_LIMIT": "2G"})))["containers"][0]

    assert container["resources"] == {
        "requests": {"memory": "64Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert narrow["resources"]["limits"] == {"memory": "2Gi"}


@pytest.mark.parametrize(
    ("size", "kubernetes", "compose"),
    [
        ("512M", "512Mi", "512m"), ("512MB", "512Mi", "512m"), ("512MiB", "512Mi", "512m"),
        ("2G", "2Gi", "2g"), ("64K", "64Ki", "64k"), ("1048576", "1048576", "1048576b"),
        ("1048576B", "1048576", "1048576b"),
    ],
)  # fmt: skip
def test_sizes_are_binary_everywhere(size: str, kubernetes: str, compose: str) -> None:
    """The contract's M is Kubernetes' Mi and compose's m."""
    assert kubernetes_quantity(size) == kubernetes
    assert compose_size(size) == compose


def test_a_size_that_is_none_is_refused() -> None:
    """With an example of one that is."""
    with pytest.raises(ConfigError, match="'much' is no size; write it like 256M"):
        kubernetes_quantity("much")


def test_the_notes_tell_what_a_person_must_provide() -> None:
    """How to start it, the claims, the Secret, and what becomes of each exit code."""
    text = "\n".join(notes(order()))

    assert "kubectl create" in text
    assert "baqup-staging, baqup-source" in text
    assert all(f"{int(code):3} " in text for code in EXIT_CODES if code)
    assert "kubectl apply" in "\n".join(notes(order(name="nightly")))


NASTY = ["yes", "on", "n", "1e3", "0x1f", "0o17", "1_000", "12:30:45", "null", "~", "", "#a", "- a",
         "a: b", "{a}", "&a", "*a", "!a", "%a", "@a", "`a", "'", '"', "1.0", ".5", "=", "<<", " a ",
         "2024-01-01", "line\nbreak", "\u2028", "ü", "\x85", "\\n"]  # fmt: skip


@given(st.dictionaries(st.text(min_size=1), st.text() | st.sampled_from(NASTY)))
def test_every_text_stays_a_text_in_yaml(document: dict[str, str]) -> None:
    """Whatever a value looks like, it is read back as the text it was."""
    assert yaml.safe_load(to_yaml(document)) == document


@pytest.mark.parametrize("text", NASTY)
def test_a_text_that_another_yaml_takes_for_something_else_is_quoted(text: str) -> None:
    """Kubernetes' parser knows numbers and truths that ours does not."""
    assert to_yaml({"value": text}).removeprefix("value: ").startswith(("'", '"'))


def test_comments_stand_above() -> None:
    """Each line is one."""
    assert to_yaml({"ab": 1}, ["one", "two"]) == "# one\n# two\nab: 1\n"

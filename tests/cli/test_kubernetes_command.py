"""``baqup-agent kubernetes``, as a person uses it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.cli.packaging_commands import Call, call

__all__ = ["call"]


def variables(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each for each in container["env"]}


def test_the_job_of_an_agent_is_printed(call: Call) -> None:
    """Valid YAML below comments that tell what it needs; the role and the image by default."""
    done = call("kubernetes", "fs")

    job = yaml.safe_load(done.out)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# One snapshot by agent-fs ")
    assert container["args"] == ["snapshot"]
    assert container["image"].startswith("agent-fs:")


def test_json_is_the_same_job(call: Call) -> None:
    """For programs, and where PyYAML is not."""
    as_yaml, as_json = call("kubernetes", "fs"), call("kubernetes", "fs", "--format", "json")

    assert json.loads(as_json.out) == yaml.safe_load(as_yaml.out)


def test_options_end_up_in_their_places(call: Call, tmp_path: Path) -> None:
    """--env wins over the file, and no secret of the file is printed."""
    (tmp_path / "job.env").write_text(
        "BAQUP_JOB_TIMEOUT=60\nBAQUP_AGENT_LOG_LEVEL=debug\nBAQUP_SECRET_BUS_PASSWORD=hunter2\n"
    )
    done = call(
        "kubernetes", "fs", "--role", "restore", "--image", "registry.example/fs:2",
        "--env-file", tmp_path / "job.env", "--env", "BAQUP_JOB_TIMEOUT=90",
        "--env", "BAQUP_SOURCE_PATH=/staging/x", "--namespace", "backups", "--name", "one",
        "--secret", "keys", "--claim", "staging=vault", "--format", "json",
    )  # fmt: skip

    job = json.loads(done.out)
    spec = job["spec"]["template"]["spec"]
    assert job["metadata"]["namespace"] == "backups"
    assert job["metadata"]["name"] == "one"
    assert spec["containers"][0]["image"] == "registry.example/fs:2"
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == "vault"
    assert variables(job)["BAQUP_JOB_TIMEOUT"]["value"] == "90"
    assert variables(job)["BAQUP_AGENT_LOG_LEVEL"]["value"] == "debug"
    secret = variables(job)["BAQUP_SECRET_BUS_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "keys", "key": "BAQUP_SECRET_BUS_PASSWORD"}
    assert "hunter2" not in done.out + done.err


def test_an_unknown_variable_is_noted(call: Call) -> None:
    """It is taken over, and a person is told, because it is probably misspelt."""
    done = call("kubernetes", "fs", "--env", "BAQUP_JOB_TIMEOUTS=60", "--format", "json")

    assert done.code == 0
    assert "BAQUP_JOB_TIMEOUTS" in done.err
    assert variables(json.loads(done.out))["BAQUP_JOB_TIMEOUTS"]["value"] == "60"


def test_without_the_extra_it_is_json(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """kubectl takes it as well; one line tells why, and YAML that was asked for is refused."""
    as_yaml = call("kubernetes", "fs")
    monkeypatch.setitem(sys.modules, "yaml", None)

    by_default, asked = call("kubernetes", "fs"), call("kubernetes", "fs", "--format", "yaml")

    assert by_default.code == 0
    assert json.loads(by_default.out) == yaml.safe_load(as_yaml.out)
    assert 'pip install "baqup-agent[yaml]"' in by_default.err
    assert len(by_default.err.splitlines()) == 1
    assert (asked.code, asked.out) == (64, "")
    assert 'pip install "baqup-agent[yaml]"' in asked.err


def test_the_help_tells_of_the_extra_and_of_the_bus(call: Call) -> None:
    """Before anything has failed."""
    told = call("kubernetes", "--help").out

    assert 'pip install "baqup-agent[yaml]"' in told
    assert "redis://redis:6379/0" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), "no agent 'nobody'"),
        (("fs", "--role", "restor"), "unknown role 'restor'; .*; did you mean 'restore'?"),
        (("fs", "--role", "restore"), "BAQUP_SOURCE_PATH is not set"),
        (("fs", "--env", "X"), "expected KEY=VALUE"),
        (("fs", "--env-file", "absent.env"), "absent.env cannot be read"),
        (("fs", "--claim", "vault"), "expected staging=NAME"),
        (("fs", "--claim", "cellar=x"), "expected staging=NAME"),
        (("fs", "--namespace", "A B"), "the namespace 'A B'"),
        (("fs", "--env", "BAQUP_JOB_RETRY_MAX=0"), "BAQUP_JOB_RETRY_MAX='0'"),
        (("fs", "--image", "bad image"), "'bad image' is no name of an image"),
        (("fs", "--image", ""), "'' is no name of an image"),
        (("fs", "--env", "BAQUP_BUS_URL=file:///x"), "no volume is mounted there"),
        (("fs", "--format", "xml"), "'xml' is not one of"),
    ],
)
def test_a_mistake_is_one_line_and_64(call: Call, arguments: tuple[str, ...], message: str) -> None:
    """It names the value, and nothing is printed that could be applied."""
    import re

    done = call("kubernetes", *arguments)

    assert (done.code, done.out) == (64, "")
    assert re.search(message, done.err)
    assert len(done.err.splitlines()) == 1

"""The labels of an image, and what a shell, xargs and two parsers of Dockerfiles make of them."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import sys

import pytest
from dockerfile_parse import DockerfileParser
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.errors import ConfigError
from baqup_agent.packaging.dockerfile import labels_in
from baqup_agent.runtime.labels import FORMS, as_arguments, as_dockerfile, as_json, labels_of

INFO = {
    "agent": "agent-fs",
    "version": "1.2.3",
    "roles": ["snapshot", "restore"],
    "stop_grace_seconds": 67,
}

HOSTILE = [
    "plain",
    'double " quotes "" and \\" escaped',
    "single ' quotes '' and '\"'\"'",
    "$HOME ${HOME} $(id) `id` $$",
    "back\\slash \\\\ \\n \\$ at the end \\",
    "line\nbreak\r\nand\ttab",
    "ünïcödé 備份 \u2028 \U0001f4be",
    "#comment ; rm -rf & | > < * ? [a] {b} ~ !x",
    "   blanks   ",
    "",
]


def schema(text: str) -> dict[str, object]:
    """A schema that carries a hostile text wherever an author can put one."""
    return {"properties": {"BAQUP_SOURCE_X": {"description": text, "default": text}}}


def test_the_labels_are_the_contracts() -> None:
    """The six names, the type without its prefix, the roles joined, the schema compact."""
    labels = labels_of(INFO, {"type": "object", "properties": {}})

    assert labels == {
        "io.baqup.agent": "true",
        "io.baqup.type": "fs",
        "io.baqup.version": "1.2.3",
        "io.baqup.roles": "snapshot,restore",
        "io.baqup.stop_grace_seconds": "67",
        "io.baqup.schema": '{"type":"object","properties":{}}',
    }


def test_an_agent_without_a_schema_has_no_label_of_it() -> None:
    """Better none than an empty one."""
    assert "io.baqup.schema" not in labels_of(INFO)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_gives_docker_exactly_the_labels(text: str) -> None:
    """What stands behind each --label is NAME=VALUE, untouched by a real shell."""
    labels = labels_of(INFO, schema(text))
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]

    line = as_arguments(labels)
    script = "eval \"printf '%s\\\\0' $(cat)\""
    done = subprocess.run(
        ["sh", "-c", script], input=line.encode(), capture_output=True, check=True
    )

    assert "\n" not in line
    assert shlex.split(line) == words
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.skipif(shutil.which("xargs") is None, reason="no xargs on this machine")
def test_xargs_gives_docker_exactly_the_labels() -> None:
    """The pipe of the help text needs no eval."""
    labels = labels_of(INFO, schema("".join(HOSTILE)))
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    show = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]

    done = subprocess.run(
        ["xargs", *show], input=as_arguments(labels).encode(), capture_output=True, check=True
    )

    assert json.loads(done.stdout) == words


@pytest.mark.parametrize("text", HOSTILE)
def test_two_parsers_read_the_lines_of_a_dockerfile_alike(text: str) -> None:
    """A foreign parser and ours both find the labels, and the schema's text in them."""
    labels = labels_of(INFO, schema(text))
    content = f"FROM scratch\n{as_dockerfile(labels)}\n"
    foreign = DockerfileParser(fileobj=io.BytesIO())
    foreign.content = content

    assert foreign.labels == labels
    assert labels_in(content, name="Dockerfile") == labels
    told = json.loads(foreign.labels["io.baqup.schema"])
    assert told == schema(text)


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]) | st.just(" ")))
def test_any_printable_version_survives_a_dockerfile(version: str) -> None:
    """Single quotes where they do, escapes where they do not."""
    labels = labels_of({**INFO, "version": version})

    assert labels_in(f"FROM scratch\n{as_dockerfile(labels)}", name="Dockerfile") == labels


@given(st.text(), st.sampled_from(sorted(FORMS)))
def test_any_schema_survives_every_form(text: str, form: str) -> None:
    """Whatever a description holds, what is read back is the same schema."""
    labels = labels_of(INFO, schema(text))
    written = FORMS[form](labels)

    if form == "json":
        read = json.loads(written)
    elif form == "dockerfile":
        read = labels_in(f"FROM scratch\n{written}", name="Dockerfile")
    else:
        read = dict(word.split("=", 1) for word in shlex.split(written)[1::2])

    assert json.loads(read["io.baqup.schema"]) == schema(text)


@pytest.mark.parametrize("special", ["'$HOME'", "'\\$x'", "'\"'", "'\\\\'", "'\\'"])
def test_a_version_with_both_kinds_of_trouble_survives(special: str) -> None:
    """A single quote needs double ones, and those need escapes."""
    labels = labels_of({**INFO, "version": special})

    assert labels_in(f"FROM scratch\n{as_dockerfile(labels)}", name="Dockerfile") == labels


def test_json_is_what_docker_inspect_shows() -> None:
    """One object of texts."""
    assert json.loads(as_json(labels_of(INFO))) == labels_of(INFO)


@pytest.mark.parametrize("version", ["1\n2", "1\x002", "1\x1b[31m"])
def test_a_label_that_no_dockerfile_can_hold_is_refused(version: str) -> None:
    """One line names the label and the rule."""
    with pytest.raises(ConfigError, match=r"io\.baqup\.version would be .*printable"):
        labels_of({**INFO, "version": version})


def test_an_info_without_a_version_is_refused() -> None:
    """It names what is missing."""
    with pytest.raises(ConfigError, match="no 'version'"):
        labels_of({"agent": "agent-x", "roles": []})


def test_labels_cost_nothing_to_import() -> None:
    """They are answered from an agent's own command line, which must start quickly."""
    code = (
        "import sys; import baqup_agent.agent; known = set(sys.modules);"
        "import baqup_agent.runtime.labels;"
        "print(sorted(m.split('.')[0] for m in set(sys.modules) - known))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    slow = {"attrs", "jsonschema", "click", "yaml", "redis", "loguru", "cattrs", "rich"}
    assert not slow & set(json.loads(done.stdout.replace("'", '"')))

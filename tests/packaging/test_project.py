"""A generated project is complete, derived from its agent, and passes its own tests."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from baqup_agent.contract import STOP_GRACE_S, Role
from baqup_agent.errors import UsageError
from baqup_agent.packaging.comparison import compare
from baqup_agent.packaging.description import describe
from baqup_agent.packaging.names import MAX_LENGTH, project_names
from baqup_agent.packaging.project import ROLES
from baqup_agent.packaging.writing import write_all
from tests.packaging.projects import LONG_NAME, texts_of

ROOT = Path(__file__).parents[2]
CHOICES = [ROLES, (Role.SNAPSHOT,), (Role.RESTORE,)]


#: The oldest Kubernetes that is looked at: the first whose schema has the rules of a
#: podFailurePolicy as the server takes them.
OLDEST_KUBERNETES = "1.29"


def vendored(name: str) -> Validator:
    """A validator for a schema that check-jsonschema carries."""
    folder = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / name).read_text("utf-8"))
    return validator_for(schema)(schema)


def made(folder: Path, name: str = "sqlite", roles: tuple[Role, ...] = ROLES) -> Path:
    """A project on disk."""
    write_all(texts_of(name, roles), folder)
    return folder


def service(texts: Mapping[str, str], name: str = "agent-sqlite") -> dict[str, Any]:
    """The agent's service in the compose file."""
    found: dict[str, Any] = yaml.safe_load(texts["compose.yaml"])["services"][name]
    return found


def dockerfile(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """The instructions of the Dockerfile."""
    parser = DockerfileParser(fileobj=io.BytesIO())
    parser.content = texts["Dockerfile"]
    return [
        (each["instruction"], each["value"])
        for each in parser.structure
        if each["instruction"] != "COMMENT"
    ]


@pytest.mark.timeout(600)
def test_a_project_passes_its_own_tests_in_a_fresh_environment(tmp_path: Path) -> None:
    """Installed from this tree beside nothing else, all of its tests pass, and it can be run.

    What is installed can make projects in its turn: the templates are part of it.
    """
    project, environment = made(tmp_path / "project"), tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]

    subprocess.run(
        [*pip, "install", "--quiet", "--no-compile", f"{ROOT}[testing,yaml]", str(project)],
        check=True,
        timeout=400,
    )
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project, env={"PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    told = subprocess.run(
        [environment / "bin" / "agent-sqlite", "--info"], capture_output=True, check=True
    )
    again = "from baqup_agent.cli.new_command import new_command as new; new(['x', '--dry-run'])"
    subprocess.run([python, "-c", again], capture_output=True, check=True)

    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
    assert json.loads(told.stdout)["agent"] == "agent-sqlite"


@pytest.mark.parametrize(
    ("name", "roles"),
    [("x", ROLES), (LONG_NAME, ROLES), *(("sqlite", roles) for roles in CHOICES[1:])],
    ids=str,
)
def test_a_project_is_clean_for_its_own_linter(
    tmp_path: Path, name: str, roles: tuple[Role, ...]
) -> None:
    """With any name and any roles, ruff has nothing to say and nothing to format."""
    project = made(tmp_path / "project", name, roles)

    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", "."],
            cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_a_project_is_clean_for_its_own_type_checker(tmp_path: Path, long: bool) -> None:
    """As strict as mypy can be; the other choices of roles at full length."""
    for roles in CHOICES if long else CHOICES[:1]:
        project = made(tmp_path / "-".join(roles), roles=roles)

        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache")],
            cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("roles", CHOICES, ids=str)
def test_the_manifests_keep_their_schemas(roles: tuple[Role, ...]) -> None:
    """Kubernetes, old and new and strict, compose and GitHub find nothing wrong with them."""
    texts = texts_of("sqlite", roles)
    job = yaml.safe_load(texts["kubernetes/job.yaml"])

    for version in (OLDEST_KUBERNETES, kubernetes_validate.latest_version()):
        kubernetes_validate.validate(job, version, strict=True)
    vendored("compose-spec.json").validate(yaml.safe_load(texts["compose.yaml"]))
    # YAML 1.1 takes the word `on` for true; GitHub does not.
    workflow = yaml.safe_load(texts[".github/workflows/ci.yaml"].replace("\non:", '\n"on":'))
    vendored("github-workflows.json").validate(workflow)


def test_a_schema_would_find_a_mistake() -> None:
    """The validators are awake: an unknown member and a wrong type are found."""
    texts = texts_of("sqlite")
    job = yaml.safe_load(texts["kubernetes/job.yaml"])
    job["spec"]["podFailurePolice"] = {}
    compose = yaml.safe_load(texts["compose.yaml"])
    compose["services"]["agent-sqlite"]["read_onyl"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, OLDEST_KUBERNETES, strict=True)
    assert not vendored("compose-spec.json").is_valid(compose)


def test_the_compose_service_is_restricted() -> None:
    """§7: an ordinary user, nothing to write to but its volumes, no capability, time to finish."""
    agent = service(texts_of("sqlite"))

    assert agent["user"] == "1000:1000"
    assert agent["read_only"] is True
    assert agent["cap_drop"] == ["ALL"]
    assert agent["stop_grace_period"] == f"{STOP_GRACE_S}s"
    assert agent["restart"] == "no"
    assert agent["tmpfs"] == ["/tmp:uid=1000,gid=1000,mode=0700"]
    assert {each["target"]: each.get("read_only", False) for each in agent["volumes"]} == {
        "/staging": False,
        "/source": True,
    }


def test_the_image_needs_no_shell_and_no_root() -> None:
    """Every command of the Dockerfile is in exec form, and the last user is not root."""
    instructions = dockerfile(texts_of("sqlite"))
    words = [keyword for keyword, _ in instructions]
    last_stage = instructions[len(words) - words[::-1].index("FROM") :]

    commands = [value for keyword, value in instructions if keyword in {"RUN", "ENTRYPOINT", "CMD"}]
    assert words.count("FROM") == 2
    assert all(isinstance(json.loads(value), list) for value in commands)
    assert dict(last_stage)["USER"] == "1000:1000"
    assert json.loads(dict(last_stage)["ENTRYPOINT"]) == ["/opt/agent/bin/agent-sqlite"]
    assert "RUN" not in dict(last_stage)


@pytest.mark.parametrize("roles", CHOICES, ids=str)
def test_the_image_carries_the_labels_of_its_agent(tmp_path: Path, roles: tuple[Role, ...]) -> None:
    """A foreign parser reads from the Dockerfile just what the agent says of itself."""
    texts = texts_of("sqlite", roles)
    project = made(tmp_path / "project", roles=roles)
    path = f"{project}:{ROOT}"
    description = describe([sys.executable, "-m", "agent_sqlite"], python_path=path)
    parser = DockerfileParser(fileobj=io.BytesIO())
    parser.content = texts["Dockerfile"]

    assert compare(parser.labels, description.labels()) == ()
    assert parser.labels["io.baqup.roles"] == ",".join(roles)
    assert "BAQUP_SOURCE_PATH" in json.loads(parser.labels["io.baqup.schema"])["properties"]


def test_the_image_gets_what_it_is_built_from_and_nothing_else() -> None:
    """Everything that the Dockerfile copies is let through, and neither secrets nor tests are."""
    texts = texts_of("sqlite")
    let_through = [
        line.removeprefix("!").rstrip("/")
        for line in texts[".dockerignore"].splitlines()
        if line.startswith("!")
    ]
    copied = [
        word
        for keyword, value in dockerfile(texts)
        if keyword == "COPY" and not value.startswith("--from")
        for word in value.split()[:-1]
    ]

    assert sorted(copied) == sorted(let_through)
    assert "*" in texts[".dockerignore"].splitlines()
    assert all(any(name.startswith(each) for name in texts) for each in copied)


def test_a_project_declares_what_it_needs() -> None:
    """The names of the program, the package and its version lead to files that are there."""
    texts = texts_of("my-db")
    project = tomllib.loads(texts["pyproject.toml"])

    assert project["project"]["name"] == "agent-my-db"
    assert project["project"]["scripts"] == {"agent-my-db": "agent_my_db.agent:main"}
    assert project["tool"]["hatch"]["version"]["path"] in texts
    assert "class MyDbAgent(Agent):" in texts["agent_my_db/agent.py"]
    assert all("$" not in text for name, text in texts.items() if name.endswith(".py"))


def test_the_readme_tells_what_a_person_would_stumble_over() -> None:
    """Commands of the environment, the agent's exit code, the registry, and what a pod loses."""
    readme = texts_of("sqlite")["README.md"]
    words = " ".join(readme.split())

    assert ".venv/bin/baqup-agent image check" in words
    assert "docker compose up --exit-code-from agent-sqlite" in words
    assert "docker push REGISTRY/agent-sqlite:0.1.0" in words
    assert "`emptyDir`, which is lost with the pod" in words
    assert all("baqup-agent" not in line.split(" ")[0] for line in readme.splitlines()
               if not line.startswith(".venv/bin/"))  # fmt: skip


def test_a_project_says_which_policies_on_links_it_has() -> None:
    """The schema on the image does not promise what the agent refuses."""
    parser = DockerfileParser(fileobj=io.BytesIO())
    parser.content = texts_of("sqlite")["Dockerfile"]

    schema = json.loads(parser.labels["io.baqup.schema"])
    links = schema["properties"]["BAQUP_SOURCE_FOLLOW_SYMLINKS"]
    assert "follow" not in json.dumps(links)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no name of an agent"),
        ("My DB", "'My DB' is no name of an agent: .*; did you mean 'my-db'"),
        ("SqliteAgent", "did you mean 'sqlite-agent'"),
        ("my_db", "did you mean 'my-db'"),
        ("a--b", "did you mean 'a-b'"),
        ("-a", "did you mean 'a'"),
        ("../x", "did you mean 'x'"),
        ("café", "no name of an agent"),
        ("a\n", "no name of an agent"),
        ("3d", "must begin with a letter"),
        ("agent-", "no name of an agent"),
        ("x" * 40, f"has 46 characters; give a name of {MAX_LENGTH}"),
        ("fs", "comes with baqup-agent itself"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_in_one_line(text: str, message: str) -> None:
    """It names the value, the rule and a name that would do."""
    with pytest.raises(UsageError, match=message) as caught:
        project_names(text)

    assert "\n" not in str(caught.value)


def test_the_longest_name_fits_everywhere() -> None:
    """What Kubernetes makes of it, with the role and its own suffix, is at most 63 characters."""
    names = project_names(LONG_NAME)

    assert len(LONG_NAME) == MAX_LENGTH
    assert len(f"{names.agent}-{Role.SNAPSHOT}-") + 5 <= 63
    assert names.package.isidentifier()
    assert names.class_name.isidentifier()

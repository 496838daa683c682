"""What an agent says of itself: without environment, without network, from one declaration."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from baqup_agent.agents.fs import FsAgent
from baqup_agent.config.records import variables_of
from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import CONTRACT
from baqup_agent.lifecycle.diagrams import dot, mermaid, svg, text
from baqup_agent.runtime.arguments import DIAGRAM_FORMS, LABEL_FORMS, OPTIONS
from baqup_agent.runtime.completion import SHELLS
from baqup_agent.runtime.labels import FORMS
from tests.config.shop import Shop, ShopAgent
from tests.spec import assert_keeps

ROOT = Path(__file__).parents[2]
SHOP = [sys.executable, "-m", "tests.config.shop"]


@cache  # what it says of itself depends on nothing
def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SHOP, *arguments], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "question",
    ["--info", "--schema", "--labels", "--diagram", "--env-template", "--env-table", "--help",
     "--version", "--completion=bash", "--completion=zsh", "--completion=fish"],
)  # fmt: skip
def test_a_question_is_answered_without_an_environment(question: str) -> None:
    """Exit 0, the answer on stdout, nothing on stderr."""
    done = ask(question)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")
    assert not done.stdout.endswith("\n\n")


def test_info_tells_the_variables_and_the_leaves() -> None:
    """It keeps the spec, names every variable with its rules, and each phase's leaves."""
    info = json.loads(ask("--info").stdout)

    assert_keeps("info", info)
    told = {variable["name"]: variable for variable in info["variables"]}
    assert {variable.name for variable in variables_of(Shop)} <= set(told)
    assert told["BAQUP_SOURCE_PATH"]["required_for"] == ["snapshot"]
    assert told["BAQUP_SOURCE_DATABASES"]["default"] == ["all"]
    assert told["BAQUP_SECRET_DB_PASSWORD"]["secret"] is True
    assert info["lifecycle"] == {
        phase: [state.leaf or state.name for state in CONTRACT.leaves(AgentState(phase))]
        for phase in info["lifecycle"]
    }


@pytest.mark.parametrize("installed", [True, False])
def test_info_tells_what_the_installed_packages_can(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ciphers, checksums and compressions of optional packages are offered where those are."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)

    info = FsAgent.info()

    assert_keeps("info", info)
    capabilities = info["capabilities"]
    ciphers = {"aes-256-gcm", "chacha20-poly1305"}
    assert set(capabilities["encryption"]) == (ciphers if installed else set())
    assert ("lz4" in capabilities["compression"]) is installed
    assert ("blake3" in capabilities["checksums"]) is installed
    assert capabilities["parallel"] is True


def test_the_leaves_of_a_refined_lifecycle_are_told() -> None:
    """By their names below the phase, as they stand on the wire."""
    from tests.runtime.leafy import LeafyAgent

    info = LeafyAgent.info()
    assert_keeps("info", info)
    assert len(info["lifecycle"]["running"]) > 1
    assert all("." not in leaf for leaf in info["lifecycle"]["running"][:1])


def test_the_schema_is_one_and_is_the_agents() -> None:
    """Draft 2020-12; secrets write-only; what a role needs stands under its condition."""
    schema = json.loads(ask("--schema").stdout)

    Draft202012Validator.check_schema(schema)
    assert schema == json.loads(json.dumps(ShopAgent.schema()))
    assert schema["properties"]["BAQUP_SECRET_DB_PASSWORD"]["writeOnly"] is True
    assert schema["dependentRequired"] == {"BAQUP_SOURCE_HOST": ["BAQUP_SOURCE_PORT"]}
    assert {
        "if": {"properties": {"role": {"const": "restore"}}, "required": ["role"]},
        "then": {"required": ["BAQUP_TARGET_PATH"]},
    } in schema["allOf"]


@pytest.mark.parametrize(
    ("form", "draw"), [("text", text), ("mermaid", mermaid), ("dot", dot), ("svg", svg)]
)
def test_the_diagram_is_drawn_in_each_form(form: str, draw: object) -> None:
    """The same picture that the developer's command draws."""
    assert callable(draw)
    assert ask("--diagram", form).stdout == draw(CONTRACT, "agent-shop").rstrip("\n") + "\n"


def test_the_words_of_the_command_line_are_those_of_the_parts() -> None:
    """The parser knows forms by name without importing what makes them."""
    assert set(LABEL_FORMS) == set(FORMS)
    assert set(DIAGRAM_FORMS) == {"text", "mermaid", "dot", "svg"}
    assert json.loads(ask("--labels", "json").stdout)["io.baqup.type"] == "shop"


def test_the_template_marks_what_the_role_needs() -> None:
    """`restore --env-template` leaves the target open; without a role it is a comment."""
    assert "\nBAQUP_TARGET_PATH=\n" in ask("restore", "--env-template").stdout
    assert "\n#BAQUP_TARGET_PATH=\n" in ask("--env-template").stdout


def test_help_lists_the_environment_that_matters() -> None:
    """What is required and what the agent itself declares, each with its rules and purpose."""
    shown = ask("--help").stdout

    assert "BAQUP_JOB_ID  (uuid; required)" in shown
    assert "BAQUP_SOURCE_PATH  (directory that exists; required for snapshot)" in shown
    assert "BAQUP_SOURCE_RATE  (float, at least 0.5)\n      most per second, MB\n" in shown
    assert "BAQUP_SOURCE_CHUNK  (size; default 8M)" in shown
    assert "BAQUP_AGENT_LOG_LEVEL" not in shown
    assert "75 completed, but unreported" in " ".join(shown.split())


def test_the_schemes_of_a_url_are_told() -> None:
    """In help, table and template."""
    assert "BAQUP_SOURCE_HOOK  (uri, https)" in ask("--help").stdout
    assert "| `BAQUP_SOURCE_HOOK` | uri, https |" in ask("--env-table").stdout
    assert "# who is told; uri, https\n" in ask("--env-template").stdout


def test_help_knows_every_option_of_completion() -> None:
    """And completion every option of help."""
    shown = ask("--help").stdout

    assert {word.strip(",[]") for word in shown.split() if word.strip("[").startswith("--")} >= {
        option.name for option in OPTIONS
    }


def _complete(shell: str, line: str) -> list[str]:
    """The words that a real shell offers for the end of ``line``."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = ask("--completion", shell).stdout
    words = line.split(" ")
    if shell == "fish":
        code = f"{script}\ncomplete -C '{line}'"
    else:
        listed = " ".join(f"'{word}'" for word in words)
        code = (
            f"{script}\nCOMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _agent_shop\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
    options = ["--norc", "--noprofile"] if shell == "bash" else ["--no-config"]
    done = subprocess.run([shell, *options, "-c", code], capture_output=True, text=True, check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("agent-shop sn", ["snapshot"]),
        ("agent-shop --env-t", ["--env-table", "--env-template"]),
        ("agent-shop --completion z", ["zsh"]),
        ("agent-shop --diagram mer", ["mermaid"]),
        ("agent-shop snapshot --val", ["--validate"]),
    ],
)
def test_a_shell_completes_roles_options_and_their_words(
    shell: str, line: str, offered: list[str]
) -> None:
    """The script is taken by the real shell and offers what fits."""
    assert sorted(_complete(shell, line)) == offered


def test_zsh_takes_the_script() -> None:
    """It hands zsh's own completion one specification for each option, and the roles."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    script = ask("--completion", "zsh").stdout
    stand_ins = 'compdef() { }; _arguments() { print -rl -- "$@" }'
    done = subprocess.run(
        ["zsh", "-f", "-c", f"{stand_ins}\n{script}\n_agent_shop"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    specifications = done.stdout.splitlines()
    assert [each.split("[")[0] for each in specifications[:-1]] == [each.name for each in OPTIONS]
    assert (
        "--completion[print the script that completes commands in a shell]:word:(bash zsh fish)"
        in (specifications)
    )
    assert specifications[-1] == "1:role:(snapshot restore)"


def test_each_shell_has_a_script() -> None:
    """And a line that loads it."""
    assert set(SHELLS) == {"bash", "zsh", "fish"}
    assert all("agent-shop" in ask("--completion", shell).stdout for shell in SHELLS)


def test_the_reference_agent_describes_itself_too() -> None:
    """agent-fs declares by rows; its self-description keeps the spec as well."""
    assert_keeps("info", FsAgent.info())
    Draft202012Validator.check_schema(FsAgent.schema())

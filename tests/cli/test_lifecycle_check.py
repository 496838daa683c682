"""``baqup-agent lifecycle check``: what is told of a lifecycle, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from textwrap import dedent

import click
import pytest
from attrs import frozen

from baqup_agent import CONTRACT
from baqup_agent.cli.lifecycle.group import lifecycle_group
from tests.cli.command import baqup_agent, objects

#: An agent whose ``running`` has two leaves; its transitions are filled in.
AGENT = """
from baqup_agent import CONTRACT, Agent, State, Transition
from baqup_agent.lifecycle.refinement import refine

class Example(Agent):
    name = "agent-example"
    version = "1.0.0"
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("go", "a", "b"), {more}],
    )

    def snapshot(self, job):
        pass
"""

SOUND = 'Transition("complete", "b", "completing")'
LOOPING = f'{SOUND}, Transition("back", "b", "a")'
BROKEN = f'{LOOPING}, Transition("finish", "a", "completing"), Transition("go", "a", "b")'
UNBUILT = f'{SOUND}, Transition("on", "a", "bb")'


@frozen
class Done:
    """What the command made of its arguments."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def check(capsys) -> Callable[..., Done]:
    """Runs the command in this process."""

    def run(*arguments: object) -> Done:
        code = lifecycle_group.main(["check", *map(str, arguments)], standalone_mode=False)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def agent(tmp_path) -> Callable[[str], str]:
    """Writes an agent with these transitions, and returns the target that names it."""

    def write(more: str) -> str:
        path = tmp_path / f"example_{abs(hash(more))}.py"
        path.write_text(AGENT.format(more=more), encoding="utf-8")
        return f"{path}:Example"

    return write


def test_a_lifecycle_that_holds_is_proven(check, agent):
    """One line with its size."""
    done = check(agent(SOUND))

    assert done == Done(0, "agent-example: 6 leaves, 8 edges, proven\n", "")


def test_the_contract_is_proven(check):
    """It needs no agent."""
    done = check("contract")

    assert done.code == 0
    assert done.stdout.endswith(": 5 leaves, 6 edges, proven\n")


def test_a_lifecycle_that_does_not_hold_is_told_with_paths_and_remedies(check, agent):
    """Although its class cannot even be made: each error, what it is about, and what to do."""
    done = check(agent(BROKEN))

    assert done.code == 65
    assert done.stderr == ""
    assert done.stdout == dedent(
        """\
        error    custom-across-phases  running.a
                 'finish' leads from 'running' to 'completing' ('running.a' to 'completing'), and
                 only a trigger of the contract changes the phase
          path   initializing -start-> running.a -finish-> completing
          remedy fire 'complete' there
        error    duplicate-edge  running.a
                 'go' from 'running.a' to 'running.b' is declared twice
          path   initializing -start-> running.a -go-> running.b
          remedy remove one
        warning  endless-loop  running.a
                 the loop of 'go', 'back' at 'running.a' can go round for ever; only the limit of
                 the whole phase ends it
          path   initializing -start-> running.a -go-> running.b -back-> running.a
          remedy give a leaf in it timeout_s, or guard one of its edges
        agent-example: 6 leaves, 11 edges, 2 errors, 1 warning
        """
    )


def test_a_warning_is_told_and_does_not_count(check, agent):
    """The lifecycle holds all the same."""
    done = check(agent(LOOPING))

    assert done.code == 0
    assert done.stdout.startswith("warning  endless-loop  running.a\n")
    assert done.stdout.endswith("agent-example: 6 leaves, 9 edges, proven, 1 warning\n")


def test_a_warning_counts_if_it_is_asked_for(check, agent):
    """With --strict the lifecycle is not called proven, and the code says so."""
    done = check("--strict", agent(LOOPING))

    assert done.code == 65
    assert done.stdout.endswith("agent-example: 6 leaves, 9 edges, 1 warning\n")


def test_json_tells_the_same_facts(check, agent):
    """One object for each target, in order."""
    target = agent(BROKEN)
    done = check("--json", target, "contract")
    broken, contract = objects(done.stdout)

    assert done.code == 65
    assert (contract["holds"], contract["findings"]) == (True, [])
    assert {key: broken[key] for key in broken if key != "findings"} == {
        "type": "proof",
        "target": target,
        "name": "agent-example",
        "holds": False,
        "leaves": 6,
        "edges": 11,
        "errors": 2,
        "warnings": 1,
    }
    assert broken["findings"][0] == {
        "rule": "custom-across-phases",
        "severity": "error",
        "leaf": "running.a",
        "message": "'finish' leads from 'running' to 'completing' ('running.a' to 'completing'), "
        "and only a trigger of the contract changes the phase",
        "remedy": "fire 'complete' there",
        "path": ["initializing", "start", "running.a", "finish", "completing"],
    }


def test_what_holds_in_json_heeds_strictness(check, agent):
    """``holds`` and the exit code never contradict one another."""
    lenient, strict = check("--json", agent(LOOPING)), check("--json", "--strict", agent(LOOPING))

    assert (lenient.code, objects(lenient.stdout)[0]["holds"]) == (0, True)
    assert (strict.code, objects(strict.stdout)[0]["holds"]) == (65, False)


def test_a_lifecycle_that_cannot_be_built_is_told_as_a_finding(check, agent):
    """A misspelt name ends the declaration; it is answered like the rest, with a hint."""
    target = agent(UNBUILT)
    done = check(target)

    assert done.code == 65
    assert done.stdout.splitlines() == [
        "error    declaration",
        "         refinement of 'running': target of 'on' is 'bb', which is no leaf",
        "  remedy did you mean 'b'?",
        f"{target}: 1 error",
    ]


def test_a_stored_lifecycle_is_checked_too(check, tmp_path):
    """By its file; one that holds is proven, each problem of another is a finding."""
    from baqup_agent.lifecycle.formats import to_json

    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(to_json(CONTRACT)), encoding="utf-8")
    bad.write_text(json.dumps({**to_json(CONTRACT), "surprise": 1}), encoding="utf-8")

    assert check(good) == Done(0, "good.json: 5 leaves, 6 edges, proven\n", "")
    done = check("--json", bad)
    (record,) = objects(done.stdout)
    assert done.code == 65
    assert [finding["rule"] for finding in record["findings"]] == ["declaration"]
    assert "surprise" in record["findings"][0]["message"]


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("nothing", "names no lifecycle"),
        ("no_such_module:Agent", "cannot be imported"),
        ("{agent}x", "did you mean 'Example'?"),
        ("{root}/missing.py:Agent", "cannot be read"),
        ("{root}/missing.json", "cannot be read"),
    ],
)
def test_a_target_that_is_none_is_told_and_the_others_are_checked(
    check, agent, tmp_path, target, word
):
    """One line on stderr, exit code 64."""
    done = check(target.format(agent=agent(SOUND), root=tmp_path), "contract")

    assert done.code == 64
    assert done.stderr.startswith("baqup-agent lifecycle check: error: ")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout.endswith("proven\n")


def test_a_module_that_fails_otherwise_is_no_finding(check, tmp_path):
    """A bug in the author's module is told as such, and says nothing of the lifecycle."""
    path = tmp_path / "bursting.py"
    path.write_text("raise ValueError('out of\\norder')", encoding="utf-8")

    done = check(f"{path}:Agent")

    assert (done.code, done.stdout) == (64, "")
    assert "fails on import: ValueError: out of order" in done.stderr


def test_control_characters_of_a_name_do_not_reach_the_terminal(check, agent):
    """A trigger that would clear the screen is shown escaped."""
    done = check(agent(f'{SOUND}, Transition("\\x1b[2J", "a", "b")'))

    assert done.code == 65
    assert "\x1b" not in done.stdout
    assert "trigger-name" in done.stdout


def test_the_program_exits_with_the_commands_code(agent):
    """Run as a person would run it: the code is the process's, the findings are on stdout."""
    done = baqup_agent("lifecycle", "check", agent(BROKEN), "contract")

    assert done.returncode == 65
    assert done.stderr == ""
    assert "agent-example: 6 leaves, 11 edges, 2 errors, 1 warning\n" in done.stdout
    assert done.stdout.endswith(": 5 leaves, 6 edges, proven\n")


def test_no_target_is_wrong_usage(check):
    """There is nothing to check."""
    with pytest.raises(click.MissingParameter, match="targets"):
        check()

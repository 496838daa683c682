"""The proof: each rule has a lifecycle that breaks it alone; errors name place, path and remedy."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from attrs import evolve

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.config.variables import VARIABLES
from baqup_agent.contract import ExitCode
from baqup_agent.lifecycle.declaration import Deadline
from baqup_agent.lifecycle.proof import LifecycleProofError, Proof, prove, require_proof
from baqup_agent.lifecycle.proof.limits import JOB_TIMEOUT_S
from baqup_agent.lifecycle.proof.rules import RULES, Severity, way_text
from baqup_agent.lifecycle.proof.shape import DEEPEST
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError, refine


def yes(**_payload: object) -> bool:
    return True


def no(**_payload: object) -> bool:
    return False


def refined(*transitions: Transition, a: State | None = None, b: State | None = None) -> Lifecycle:
    """``running`` as two leaves, one after the other; ``complete`` leaves the second."""
    return refine(
        CONTRACT,
        "running",
        initial="a",
        states=[a or State("a"), b or State("b")],
        transitions=[
            Transition("go", "a", "b"),
            Transition("complete", "b", "completing"),
            *transitions,
        ],
    )


def nested(*transitions: Transition, **outer: State) -> Lifecycle:
    return refine(
        refined(**outer),
        "running.a",
        initial="x",
        states=[State("x"), State("y", timeout_s=60)],
        transitions=[Transition("on", "x", "y"), *transitions],
    )


def with_states(*states: State, lifecycle: Lifecycle | None = None) -> Lifecycle:
    """The lifecycle with states replaced by those of the same name, and others added."""
    lifecycle = lifecycle or refined()
    new = {state.name: state for state in states}
    kept = [new.pop(state.name, state) for state in lifecycle.states]
    return evolve(lifecycle, states=[*kept, *new.values()])


def with_edges(*edges: Transition, lifecycle: Lifecycle | None = None) -> Lifecycle:
    lifecycle = lifecycle or refined()
    return evolve(lifecycle, transitions=[*lifecycle.transitions, *edges])


def without(lifecycle: Lifecycle, *edges: tuple[str, str]) -> Lifecycle:
    """The lifecycle without the edges of these (source, trigger)."""
    kept = [edge for edge in lifecycle.transitions if (edge.source, edge.trigger) not in edges]
    return evolve(lifecycle, transitions=kept)


def in_place(**changes: object) -> Lifecycle:
    """The contract with its record of ``initializing`` changed."""
    return with_states(evolve(CONTRACT.state("initializing"), **changes), lifecycle=CONTRACT)


RUNNING = CONTRACT.state("running")
DEEP = ".".join(["running", *"x" * DEEPEST])


def limit(seconds: float) -> Deadline:
    return Deadline("JOB_TIMEOUT", ExitCode.GENERAL_FAILURE, seconds=seconds)


def living(name: str, *more: Transition) -> Lifecycle:
    """The refined lifecycle with one more leaf that everything else is right with."""
    edges = (
        Transition("over", "running.a", name),
        Transition("complete", name, "completing"),
        Transition("fail", name, "failed"),
    )
    return with_edges(*edges, *more, lifecycle=with_states(State(name)))


LOOP = (Transition("back", "b", "a"),)

#: For each rule, lifecycles that break it and no other.
BROKEN = {
    "unknown-phase": [
        with_states(State("runing.c")),
        with_states(State("")),
        evolve(refined(), compounds=[RUNNING, State("walking")]),
    ],
    "leaf-name": [living("running.b c"), living("running..c"), living("running.1"), living(DEEP)],
    "duplicate-leaf": [
        evolve(CONTRACT, states=[*CONTRACT.states, RUNNING]),
        evolve(CONTRACT, compounds=[RUNNING]),
    ],
    "missing-scope": [
        living("running.c.d"),
        evolve(nested(), compounds=[RUNNING]),
    ],
    "empty-scope": [evolve(refined(), compounds=[RUNNING, State("running.c")])],
    "final-refined": [
        with_edges(
            Transition("fail", "running", "failed.badly"),
            lifecycle=evolve(
                without(CONTRACT, ("running", "fail")),
                states=[*CONTRACT.states, State("failed.badly", final=True)],
            ),
        )
    ],
    "final-phase": [
        refined(b=State("b", final=True)),
        with_states(evolve(CONTRACT.state("failed"), final=False), lifecycle=CONTRACT),
    ],
    "missing-phase": [
        evolve(
            CONTRACT,
            states=CONTRACT.states[:3] + CONTRACT.states[4:],
            transitions=[edge for edge in CONTRACT.transitions if edge.trigger != "terminate"],
        )
    ],
    "unknown-initial": [
        evolve(CONTRACT, initial="initialising"),
        evolve(nested(), initial="running"),
    ],
    "initial-phase": [evolve(refined(), initial="running.a"), evolve(CONTRACT, initial="failed")],
    "trigger-name": [
        refined(Transition(name, "a", "b"))
        for name in (
            "", "a b", "_go", "class", "été\n", "ﬁle", "state", "trigger", "may_go", "is_failed",
        )
    ],
    "unknown-source": [
        with_edges(Transition("jump", "running.c", "running.a")),
        with_edges(Transition("jump", "running", "running.a")),
    ],
    "unknown-target": [
        with_edges(Transition("jump", "running.a", "running.c")),
        with_edges(Transition("jump", "running.a", "completing.c")),
        with_edges(Transition("jump", "running.a", "running")),
        with_edges(
            Transition("fail", "running.b", "faild"),
            lifecycle=without(refined(), ("running.b", "fail")),
        ),
    ],
    "final-exit": [
        with_edges(Transition("again", "failed", "initializing")),
        with_edges(Transition("fail", "terminated", "failed")),
        with_edges(Transition("stay", "failed", "failed")),
    ],
    "custom-across-phases": [
        refined(Transition("finish", "a", "completing")),
        refined(Transition("give_up", "a", "failed")),
        with_edges(Transition("restart", "running.b", "initializing")),
    ],
    "contract-trigger-inside": [
        refined(Transition("start", "a", "b")),
        refined(Transition("fail", "a", "b")),
    ],
    "contract-edge": [
        refined(Transition("complete", "a", "terminated")),
        refined(Transition("terminate", "a", "completing")),
        with_edges(Transition("start", "completing", "running.a")),
        refined(Transition("fail", "a", "completing")),
    ],
    "fail-accepted": [
        without(refined(), ("running.b", "fail")),
        refined(Transition("fail", "b", "failed", guard=yes)),
    ],
    "duplicate-edge": [
        with_edges(Transition("go", "running.a", "running.b")),
        refined(Transition("on", "a", "b", guard=yes), Transition("on", "a", "b", guard=yes)),
    ],
    "shadowed-edge": [
        refined(Transition("go", "a", "b", guard=yes)),
        refined(Transition("on", "a", "b", guard=yes), Transition("on", "a", "a", guard=yes)),
    ],
    "unreachable": [
        without(living("running.c"), ("running.a", "over")),
        refine(
            CONTRACT, "running", initial="b", states=[State("a"), State("b")],
            transitions=[Transition("go", "a", "b"), Transition("complete", "b", "completing")],
        ),
    ],
    "cannot-terminate": [
        without(living("running.c"), ("running.c", "complete")),
        without(CONTRACT, ("completing", "terminate")),
        without(refined(), ("running.b", "complete")),
    ],
    "guard-trap": [
        without(
            refined(Transition("on", "a", "b", guard=yes), Transition("on", "a", "b", guard=no)),
            ("running.a", "go"),
        ),
    ],
    "endless-loop": [refined(*LOOP), refined(Transition("stay", "a", "a")), nested(*LOOP[:0],
        Transition("stay", "x", "x"))],
    "deaf-loop": [
        refined(
            *LOOP, a=State("a", on_signal="ignore", timeout_s=9), b=State("b", on_signal="ignore"),
        ),
        refined(Transition("stay", "a", "a", guard=no), a=State("a", on_signal="ignore")),
        refine(
            CONTRACT, "completing", initial="a", states=[State("a", on_signal="ignore")],
            transitions=[Transition("stay", "a", "a")],
        ),
    ],
    "signal-policy": [in_place(on_signal=None)],
    "phase-deadline": [
        in_place(deadline=None),
        in_place(deadline=evolve(CONTRACT.state("initializing").deadline, seconds=31)),
        in_place(deadline=limit(30)),
        with_states(evolve(RUNNING, deadline=limit(60)), lifecycle=CONTRACT),
        evolve(refined(), compounds=[State("running", on_signal="abort")]),
    ],
    "deadline-value": [
        refined(a=State("a", timeout_s=seconds))
        for seconds in (0, -1, math.nan, math.inf, 1e300, "9", True)
    ] + [in_place(deadline=evolve(CONTRACT.state("initializing").deadline, seconds=0))],
    "deadline-lost": [
        with_states(State("running.a", timeout_s=5)),
        with_states(State("running.a", timeout_s=5, deadline=limit(6))),
        with_states(State("running.a", deadline=limit(6))),
    ],
    "deadline-exceeds": [
        refine(CONTRACT, "completing", initial="a", states=[State("a", timeout_s=61)]),
        nested(a=State("a", timeout_s=59)),
    ],
    "deadline-exceeds-default": [refined(a=State("a", timeout_s=3601))],
    "expected-value": [refined(a=State("a", expected_duration_s=seconds)) for seconds in (0, -5)],
    "expected-exceeds": [
        refined(a=State("a", expected_duration_s=61, timeout_s=60)),
        refine(CONTRACT, "completing", initial="a", states=[State("a", expected_duration_s=61)]),
    ],
}  # fmt: skip

CASES = [(rule, lifecycle) for rule, lifecycles in BROKEN.items() for lifecycle in lifecycles]


def rules_of(lifecycle: Lifecycle) -> set[str]:
    return {finding.rule for finding in prove(lifecycle).findings}


@pytest.mark.parametrize(
    ("rule", "lifecycle"), CASES, ids=[f"{rule}-{at}" for at, (rule, _) in enumerate(CASES)]
)
def test_a_broken_rule_is_found_and_no_other(rule: str, lifecycle: Lifecycle) -> None:
    """One fault is told under one name, on one line, with a remedy, as gravely as it should be."""
    proof = prove(lifecycle)

    assert {finding.rule for finding in proof.findings} == {rule}
    assert proof.ok == (RULES[rule].severity is Severity.WARNING)
    for finding in proof.findings:
        assert finding.severity is RULES[rule].severity
        assert finding.message
        assert finding.remedy
        assert str(finding).isprintable()


def test_every_rule_has_a_lifecycle_that_breaks_it() -> None:
    """Both tables name the same rules; one rule is told by whoever cannot build a lifecycle."""
    assert {*BROKEN, "declaration"} == set(RULES)


@pytest.mark.parametrize(
    "lifecycle",
    [CONTRACT, refined(), nested(), living("running.c"), in_place(deadline=Deadline(
        "INITIALIZATION_TIMEOUT", ExitCode.RESOURCE_UNAVAILABLE, seconds=3))],
    ids=["contract", "refined", "nested", "by-hand", "tightened"],
)  # fmt: skip
def test_a_sound_lifecycle_has_no_findings(lifecycle: Lifecycle) -> None:
    """Neither an error nor a warning; and what is required of it is given."""
    assert prove(lifecycle) == Proof(lifecycle, ())
    assert require_proof(lifecycle).ok


@pytest.mark.parametrize(
    "lifecycle",
    [
        refined(*LOOP, a=State("a", timeout_s=60)),
        refined(Transition("back", "b", "a", guard=yes)),
        refine(
            CONTRACT, "completing", initial="a", states=[State("a")],
            transitions=[Transition("stay", "a", "a")],
        ),
        refined(*LOOP, a=State("a", on_signal="ignore", timeout_s=9)),
        refined(Transition("on", "a", "b", guard=yes), a=State("a", timeout_s=3600)),
        refined(a=State("a", timeout_s=60, expected_duration_s=60)),
        without(
            refined(Transition("on", "a", "b", guard=yes), a=State("a", timeout_s=60)),
            ("running.a", "go"),
        ),
        with_edges(Transition("start", "initializing", "running.b", guard=no), lifecycle=
            without(refined(), ("initializing", "start"))),
        nested(a=State("a", timeout_s=60)),
        without(
            refined(
                *LOOP, Transition("complete", "a", "completing", guard=yes),
                a=State("a", timeout_s=60),
            ),
            ("running.b", "complete"),
        ),
    ],
    ids=[
        "limit in the loop", "guard in the loop", "phase of fixed length", "one leaf listens",
        "one way is free", "figures that are equal", "limit on the trap", "trap of fixed length",
        "nested figures that are equal", "limit in a trap of two",
    ],
)  # fmt: skip
def test_what_is_bounded_is_not_warned_of(lifecycle: Lifecycle) -> None:
    """A fixed limit, a guard, or a free way on takes the ground from a warning."""
    assert not prove(lifecycle).warnings


def test_the_default_of_the_job_timeout_is_the_configurations() -> None:
    """The figure that limits are compared to is the default that settings give."""
    defaults = {variable.name: variable.default for variable in VARIABLES}

    assert defaults["BAQUP_JOB_TIMEOUT"] == JOB_TIMEOUT_S


@pytest.mark.parametrize(
    ("lifecycle", "hint"),
    [
        (with_states(State("runing.c")), "did you mean 'running'?"),
        (with_edges(Transition("jump", "running.a", "complting")), "did you mean 'completing'?"),
        (with_edges(Transition("jump", "running.a", "running")), "'running.a', 'running.b'"),
        (evolve(CONTRACT, initial="initialising"), "did you mean 'initializing'?"),
        (with_edges(Transition("jump", "xyz", "running.a")), "there are 'initializing', 'runn"),
        (refined(Transition("finish", "a", "completing")), "fire 'complete' there"),
        (refined(Transition("complete", "a", "failed")), "to a leaf of 'completing'"),
        (refined(Transition("terminate", "a", "completing")), "in a leaf of 'completing' only"),
    ],
)  # fmt: skip
def test_a_remedy_names_what_was_probably_meant(lifecycle: Lifecycle, hint: str) -> None:
    """A close name, the leaves there are, or the contract's own edge."""
    (finding,) = prove(lifecycle).findings

    assert hint in finding.remedy


@pytest.mark.parametrize(
    ("lifecycle", "path"),
    [
        (
            with_edges(Transition("again", "failed", "initializing")),
            "initializing -fail-> failed -again-> initializing",
        ),
        (
            refined(Transition("finish", "b", "completing"), Transition("skip", "a", "b")),
            "initializing -start-> running.a -go-> running.b -finish-> completing",
        ),
        (
            without(refined(), ("running.b", "fail")),
            "initializing -start-> running.a -go-> running.b",
        ),
        (
            refined(*LOOP),
            "initializing -start-> running.a -go-> running.b -back-> running.a",
        ),
        (
            refined(
                Transition("fail", "b", "failed", guard=yes),
                Transition("hop", "a", "a", guard=no),
            ),
            "initializing -start-> running.a -go-> running.b",
        ),
        (nested(a=State("a", timeout_s=59)), "initializing -start-> running.a.x -on-> running.a.y"),
        (nested(a=State("a", timeout_s=7200)), "initializing -start-> running.a.x"),
        (without(CONTRACT, ("completing", "terminate")),
         "initializing -start-> running -complete-> completing"),
        (without(living("running.c"), ("running.a", "over")), ""),
    ],
)  # fmt: skip
def test_a_finding_shows_the_shortest_way_there(lifecycle: Lifecycle, path: str) -> None:
    """Leaves and triggers in turn from the initial leaf, then the offending edge or loop."""
    (finding,) = prove(lifecycle).findings

    assert (way_text(finding.path) if finding.path else "") == path


JUMP = Transition("jump", "running.a", "running.b")


@pytest.mark.parametrize(
    ("lifecycle", "leaf", "message"),
    [
        (
            with_edges(evolve(JUMP, source="xyz")), "running.b",
            "the source of 'jump' is 'xyz', which is no leaf",
        ),
        (
            with_edges(evolve(JUMP, target="xyz")), "running.a",
            "the target of 'jump' is 'xyz', which is no leaf",
        ),
        (
            with_edges(evolve(JUMP, source="xyz", target="running.b")), "running.b",
            "the source of 'jump' is 'xyz', which is no leaf",
        ),
        (
            with_edges(evolve(JUMP, target="running")), "running.a",
            "the target of 'jump' is 'running', which was refined, so no run is ever in it",
        ),
        (
            refined(b=State("b", final=True)), "running.b",
            "'running.b' is marked final, and a run can end in 'terminated', 'failed' only",
        ),
        (
            with_states(evolve(CONTRACT.state("failed"), final=False), lifecycle=CONTRACT),
            "failed",
            "'failed' ends a run, and is not marked final",
        ),
        (
            refined(Transition("go", "a", "a", guard=yes)), "running.a",
            ("'go' from 'running.a' to 'running.a' is never taken: an earlier edge of it leads to "
             "'running.b' without a guard"),
        ),
        (
            refined(Transition("on", "a", "b", guard=yes), Transition("on", "a", "a", guard=yes)),
            "running.a",
            ("'on' from 'running.a' to 'running.a' is never taken: an earlier edge of it leads to "
             "'running.b' with the same guard"),
        ),
        (
            without(
                refined(Transition("on", "a", "b", guard=yes), Transition("hm", "a", "a")),
                ("running.a", "go"),
            ),
            "running.a",
            ("only guards let a run on from 'running.a' (those of 'on'); if they all refuse, it "
             "stays until the limit of the whole phase"),
        ),
    ],
)  # fmt: skip
def test_a_message_names_value_and_rule(lifecycle: Lifecycle, leaf: str, message: str) -> None:
    """The leaf that the author would look at, and what is wrong there."""
    assert (leaf, message) in [(each.leaf, each.message) for each in prove(lifecycle).findings]


def test_a_dead_end_is_mended_by_the_contracts_next_edge() -> None:
    """And by no other: ``fail`` is no way on."""
    (finding,) = prove(without(CONTRACT, ("completing", "terminate"))).findings

    assert finding.remedy == (
        "let 'terminate' lead on from it to 'terminated', or a trigger of your own to a leaf from "
        "which it does"
    )


def test_what_two_roots_lead_to_is_told_once() -> None:
    """Leaves behind the first of them are not told again behind the second."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State(name) for name in "abcd"],
        transitions=[
            Transition("complete", "a", "completing"), Transition("on", "b", "d"),
            Transition("on", "c", "d"), Transition("complete", "d", "completing"),
        ],
    )  # fmt: skip

    findings = prove(lifecycle).findings

    assert [finding.leaf for finding in findings] == ["running.b", "running.c"]
    assert sum("'running.d'" in finding.message for finding in findings) == 1


def test_a_loop_is_shown_by_its_shortest_round() -> None:
    """Of a part with several loops, a stay is shown before a longer one."""
    lifecycle = refined(*LOOP, Transition("stay", "b", "b"))

    (finding,) = prove(lifecycle).findings

    assert finding.path[-3:] == ("running.b", "stay", "running.b")


def test_leaves_cut_off_are_told_once() -> None:
    """The first of a chain is named as what to mend, the others along with it."""
    chain = refine(
        CONTRACT, "running", initial="a", states=[State(name) for name in "abcde"],
        transitions=[
            Transition("complete", "a", "completing"),
            *(Transition(f"to_{later}", earlier, later) for earlier, later in ("bc", "cd", "de")),
            Transition("back", "d", "b", guard=yes), Transition("complete", "e", "completing"),
        ],
    )  # fmt: skip

    (finding,) = prove(chain).errors

    assert finding.leaf == "running.b"
    assert "'running.c', 'running.d', 'running.e'" in finding.message


def test_a_dead_end_is_told_at_its_end() -> None:
    """The leaves that lead only there are told along with it."""
    (finding,) = prove(without(refined(), ("running.b", "complete"))).findings

    assert finding.leaf == "running.b"
    assert "'running.a', 'initializing'" in finding.message
    assert "'complete'" in finding.remedy


def test_a_misspelt_name_is_not_told_as_leaves_cut_off() -> None:
    """While names mean nothing, the ways through are not looked at."""
    lifecycle = evolve(refined(), initial="initalizing", transitions=[])

    assert rules_of(lifecycle) == {"unknown-initial", "fail-accepted"}


def test_errors_come_before_warnings() -> None:
    """Both are told at once, the grave ones first."""
    lifecycle = refined(*LOOP, a=State("a", timeout_s=9999))
    lifecycle = without(lifecycle, ("completing", "fail"))

    proof = prove(lifecycle)

    assert [finding.rule for finding in proof.findings] == [
        "fail-accepted",
        "deadline-exceeds-default",
    ]
    assert proof.errors + proof.warnings == proof.findings


def test_a_guard_that_cannot_be_hashed_is_compared_by_itself() -> None:
    """Two such guards that are equal are still two."""

    class Unhashable(list):
        def __call__(self, **_payload: object) -> bool:
            return True

    first, second = Unhashable(), Unhashable()
    two = refined(Transition("on", "a", "b", guard=first), Transition("on", "a", "b", guard=second))
    one = refined(Transition("on", "a", "b", guard=first), Transition("on", "a", "b", guard=first))

    assert rules_of(two) == set()
    assert rules_of(one) == {"duplicate-edge"}


def test_one_error_is_raised_as_one_line() -> None:
    """What it belongs to, rule, message, remedy and path."""
    with pytest.raises(LifecycleProofError) as caught:
        require_proof(without(refined(), ("running.b", "fail")), "agent-x")

    assert isinstance(caught.value, LifecycleDeclarationError)
    assert caught.value.name == "agent-x"
    assert str(caught.value) == (
        "the lifecycle of agent-x does not hold: [fail-accepted] 'running.b' does not accept "
        "'fail', so an error in it could not end the run; add "
        "Transition('fail', 'running.b', 'failed') "
        "(path: initializing -start-> running.a -go-> running.b)"
    )


def test_several_errors_are_raised_with_a_line_for_each() -> None:
    """Up to a number that can be read; the proof has them all, the warnings too."""
    states = [State(f"s{number}") for number in range(30)]
    lifecycle = refine(CONTRACT, "running", initial="s0", states=states)

    with pytest.raises(LifecycleProofError) as caught:
        require_proof(lifecycle)

    lines = str(caught.value).splitlines()
    assert lines[0] == "the lifecycle does not hold, in 29 places:"
    assert len(lines) == 1 + 20 + 1
    assert all("[unreachable]" in line for line in lines[1:-1])
    assert lines[-1].strip() == "9 more are in this error's proof"
    assert len(caught.value.proof.errors) == 29


def test_a_long_way_is_shown_by_its_ends() -> None:
    """The first and last steps stand, what lies between is counted."""
    path = ["s0"]
    for number in range(1, 101):
        path += ["on", f"s{number}"]

    shown = way_text(path)

    assert shown.startswith("s0 -on-> s1 ")
    assert "… 92 more …" in shown
    assert shown.endswith("-on-> s100")


def chain(length: int) -> Lifecycle:
    """A lifecycle of ``length`` leaves in a row, without ``fail``."""
    leaves = [State(f"running.l{number}") for number in range(length)]
    row = ["initializing", *(leaf.name for leaf in leaves), "completing", "terminated"]
    edges = [Transition("on", source, target) for source, target in pairwise(row)]
    return Lifecycle("initializing", [*CONTRACT.states, *leaves], edges, [RUNNING])


def test_ten_thousand_leaves_are_answered() -> None:
    """However much is wrong with them: every leaf is told of, and paths stay within bounds."""
    lifecycle = chain(10_000)

    findings = prove(lifecycle).findings

    assert sum(finding.rule == "fail-accepted" for finding in findings) == 10_003
    assert sum(len(finding.path) for finding in findings) < 300_000


def test_a_loop_of_ten_thousand_leaves_is_found() -> None:
    """The search does not recurse."""
    names = [f"l{number}" for number in range(10_000)]
    lifecycle = refine(
        CONTRACT, "running", initial="l0", states=[State(name) for name in names],
        transitions=[
            *(Transition("on", *pair) for pair in zip(names, names[1:] + names[:1], strict=True)),
            Transition("complete", "l0", "completing"),
        ],
    )  # fmt: skip

    (finding,) = prove(lifecycle).findings

    assert finding.rule == "endless-loop"
    assert len(finding.path) == 3 + 2 * 10_000


def test_thousands_of_unknown_names_are_answered() -> None:
    """Hints are sought for the first of them; a huge name is cut."""
    huge = "y" * 1_000_000
    lifecycle = with_edges(
        *(Transition("go", f"running.l{number}x", huge) for number in range(3_000)),
        lifecycle=chain(3_000),
    )

    findings = [finding for finding in prove(lifecycle).findings if "unknown" in finding.rule]

    assert len(findings) == 6_000
    assert max(len(str(finding)) for finding in findings) < 1_500
    assert any("did you mean" in finding.remedy for finding in findings)

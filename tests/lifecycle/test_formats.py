"""Stored lifecycles: what is written is read again, and reads well."""

from __future__ import annotations

import copy
import importlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle, SignalPolicy, State, Transition
from baqup_agent.lifecycle.formats import (
    LifecycleFormatError,
    Named,
    UnresolvedName,
    from_json,
    from_yaml,
    load_file,
    loads,
    to_json,
    to_yaml,
)
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.lifecycle.refinement import refine
from tests.lifecycle import formats_effects as effects
from tests.lifecycle.formats_optional import pyyaml
from tests.lifecycle.formats_refinements import lifecycles

__all__ = ["pyyaml"]

SPEC = Path(__file__).parents[2] / "spec"
CASES = SPEC / "cases" / "lifecycle"
VALIDATOR = Draft202012Validator(json.loads((SPEC / "schemas/lifecycle.schema.json").read_text()))
HERE = effects.__name__

generated = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

DUMP = refine(
    CONTRACT,
    "running",
    initial="dumping",
    states=[
        State("dumping", timeout_s=600, on_enter=[effects.opened], description="rows are read"),
        State("compressing", on_signal="finish", on_exit=[effects.Kind.closed]),
    ],
    transitions=[
        Transition("dumped", "dumping", "compressing", guard=effects.enough),
        Transition("again", "compressing", "dumping"),
    ],
)


def refined(lifecycle: Lifecycle, state: str, text: str) -> Lifecycle:
    """Refine a state as ``a b: go a b, back b a`` says."""
    names, _, edges = text.partition(":")
    rows = [edge.split() for edge in edges.split(",") if edge]
    return refine(
        lifecycle,
        state,
        initial=names.split()[0],
        states=[State(name) for name in names.split()],
        transitions=[Transition(*row) for row in rows],
    )


@generated
@given(lifecycles())
def test_json_keeps_all_of_a_lifecycle(lifecycle: Lifecycle) -> None:
    """What was stored is loaded as it was, transitions in their order, and is stored alike."""
    document = to_json(lifecycle)

    assert from_json(json.loads(json.dumps(document))) == lifecycle
    assert to_json(from_json(document)) == document
    assert list(VALIDATOR.iter_errors(document)) == []


@generated
@given(lifecycles())
def test_yaml_keeps_all_of_a_lifecycle(pyyaml: None, lifecycle: Lifecycle) -> None:
    """Names and texts that YAML would read as something else come back as they were."""
    assert from_yaml(to_yaml(lifecycle)) == lifecycle


def test_the_stored_form_reads_like_the_declaration() -> None:
    """Leaves stand below their phase by local names, and what is inherited is left out."""
    assert to_json(DUMP) == {
        "version": 1,
        "states": {
            "running": {
                "initial": "dumping",
                "states": {
                    "dumping": {
                        "description": "rows are read",
                        "timeout_s": 600,
                        "on_enter": [f"{HERE}:opened"],
                    },
                    "compressing": {"on_signal": "finish", "on_exit": [f"{HERE}:Kind.closed"]},
                },
                "transitions": [
                    {
                        "trigger": "dumped",
                        "source": "dumping",
                        "target": "compressing",
                        "guard": f"{HERE}:enough",
                    },
                    {"trigger": "again", "source": "compressing", "target": "dumping"},
                ],
            }
        },
    }


NESTED = {
    "inherited exits": [("running", "a b: go a b"), ("running.a", "x y: step x y")],
    "an exit declared anew": [
        ("running", "a b: go a b"),
        ("running.a", "x y: step x y, go x running.b, go y running.b"),
    ],
    "`complete` from chosen leaves": [
        ("running", "a b c: go a b, on b c, complete b completing, complete c completing")
    ],
    "`complete` from an inner leaf": [
        ("running", "a b: go a b"),
        ("running.b", "x y: step x y, complete x completing, complete y completing"),
    ],
    "phases refined in another order": [
        ("completing", "hash publish: hashed hash publish"),
        ("running", "a b: go a b"),
        ("completing.publish", "x y: step x y"),
        ("initializing", "read open: was_read read open"),
    ],
    "the last refined first": [
        ("running", "a b: go a b, back b a"),
        ("running.b", "x y: step x y"),
        ("running.a", "x y: step x y, off y running.b.y"),
    ],
    "`fail` told by hand": [("completing", "a b: fail a failed, go a b, fail b failed")],
    "stays of a refined leaf": [
        ("running", "a b: again a a, go a b"),
        ("running.a", "x y: step x y"),
        ("running.b", "x y"),
    ],
    "a stay alone": [("initializing", "a: again a a"), ("initializing.a", "a b")],
    "stays": [("running", "a b: again a a, go a b"), ("running.a", "x y: step x y")],
}


@pytest.mark.parametrize("steps", NESTED.values(), ids=NESTED)
def test_common_refinements_are_stored_as_they_were_declared(steps: list) -> None:
    """No lifecycle of an everyday kind needs its transitions told outright."""
    lifecycle = CONTRACT
    for state, text in steps:
        lifecycle = refined(lifecycle, state, text)

    document = to_json(lifecycle)
    assert "transitions" not in document
    assert from_json(document) == lifecycle


@pytest.mark.parametrize("phase", ["initializing", "running", "completing"])
def test_the_first_leaf_need_not_be_the_first_in_order(phase: str) -> None:
    """The initial leaf is found by what enters it, and told as it was declared."""
    lifecycle = refine(
        CONTRACT,
        phase,
        initial="b",
        states=[State("a"), State("b")],
        transitions=[Transition("back", "b", "a")],
    )

    document = to_json(lifecycle)
    assert document["states"][phase]["initial"] == "b"
    assert list(document["states"][phase]["states"]) == ["a", "b"]
    assert "transitions" not in document


def test_a_stay_is_stored_where_it_was_declared() -> None:
    """One of the only inner leaf might as well be the outer's, but was not declared there."""
    lifecycle = refined(refined(CONTRACT, "running", "a b: go a b"), "running.b", "x: again x x")

    inner = to_json(lifecycle)["states"]["running"]["states"]["b"]
    assert inner["transitions"] == [{"trigger": "again", "source": "x", "target": "x"}]


def test_what_no_refinement_tells_is_told_outright() -> None:
    """Where the refinements cannot be found again, every transition is stored by full names."""
    lifecycle = refined(CONTRACT, "initializing", "a: again a a, again a a")
    lifecycle = refined(lifecycle, "initializing.a", "x y")

    document = to_json(lifecycle)
    assert document["states"]["initializing"] == {
        "initial": "a",
        "states": {"a": {"initial": "x", "states": {"x": {}, "y": {}}}},
    }
    assert len(document["transitions"]) == len(lifecycle.transitions)
    assert document["transitions"][0] == {
        "trigger": "start",
        "source": "initializing.a.x",
        "target": "running",
    }
    assert from_json(document) == lifecycle


def test_a_loaded_lifecycle_is_what_refine_builds() -> None:
    """A hand-written form and the same call of `refine` are equal."""
    text = """{"version": 1, "states": {"running": {"initial": "a",
        "states": {"a": {"timeout_s": 5, "on_signal": "ignore"}, "b": null},
        "transitions": [{"trigger": "go", "source": "a", "target": "b"}]}}}"""

    assert loads(text, "json") == refine(
        CONTRACT,
        "running",
        initial="a",
        states=[State("a", timeout_s=5, on_signal=SignalPolicy.IGNORE), State("b")],
        transitions=[Transition("go", "a", "b")],
    )


@pytest.mark.parametrize("case", sorted(CASES.glob("valid/*.json")), ids=lambda path: path.stem)
def test_what_the_spec_calls_valid_is_loaded(case: Path) -> None:
    """Each example of the right form is a lifecycle, and survives being stored."""
    lifecycle = load_file(case)

    assert from_json(to_json(lifecycle)) == lifecycle


@pytest.mark.parametrize("case", sorted(CASES.glob("invalid/*.json")), ids=lambda path: path.stem)
def test_what_the_spec_calls_invalid_is_refused(case: Path) -> None:
    """Each example of a wrong form is refused in one line that begins with the file."""
    with pytest.raises(LifecycleFormatError) as caught:
        load_file(case)

    assert str(caught.value).startswith(f"{case}: ")
    assert "\n" not in str(caught.value)


def test_loading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard's module is imported when it is first called, and not before."""
    (tmp_path / "foreign_guards.py").write_text("def ready(*, go): return go\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    document = copy.deepcopy(to_json(DUMP))
    document["states"]["running"]["transitions"][0]["guard"] = "foreign_guards:ready"

    lifecycle = from_json(document)
    assert "foreign_guards" not in sys.modules
    guard = lifecycle.edges("running.dumping")[-1].guard
    assert guard == Named("foreign_guards:ready")
    assert guard is not None
    assert [guard(go=True), guard(go=False)] == [True, False]
    assert sys.modules.pop("foreign_guards").__file__ == str(tmp_path / "foreign_guards.py")


def test_names_are_resolved_when_asked() -> None:
    """The functions themselves come back, and a machine runs with them."""
    lifecycle = from_json(to_json(DUMP), resolve=True)

    assert lifecycle == DUMP
    machine = Machine(from_json(to_json(DUMP)))
    machine.fire("start")
    machine.fire("dumped", rows=10)
    assert machine.state == "running.compressing"


def test_names_that_lead_nowhere_are_all_told() -> None:
    """Asked to resolve, the loader names each member whose callable is missing."""
    document = to_json(DUMP)
    row = document["states"]["running"]
    row["transitions"][0]["guard"] = "no.such.module:ready"
    row["states"]["dumping"]["on_enter"] = [f"{HERE}:opend", f"{HERE}:NOT_CALLABLE"]

    with pytest.raises(LifecycleFormatError) as caught:
        from_json(document, resolve=True)

    at = "states.running.states.dumping.on_enter"
    why = "cannot be imported (ModuleNotFoundError: No module named 'no')"
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        f"{at}[0]: '{HERE}:opend' does not exist: {HERE!r} has no 'opend'",
        f"{at}[1]: '{HERE}:NOT_CALLABLE' is no callable",
        f"states.running.transitions[0].guard: 'no.such.module:ready' {why}",
    ]


def test_a_module_that_ends_the_program_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the import of a name does, it is told as that name's fault."""
    (tmp_path / "leaving.py").write_text("raise SystemExit('goodbye')\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()

    with pytest.raises(UnresolvedName, match=r"'leaving:f' cannot be imported \(SystemExit: good"):
        Named("leaving:f")()


@pytest.mark.parametrize(
    "text", ["f", "a:b:c", ":f", "a:", "a b:c", "a:<lambda>", "a..b:c", "../a:b"]
)
def test_a_name_has_a_module_and_a_function(text: str) -> None:
    """Anything else is refused before it could be imported."""
    with pytest.raises(UnresolvedName, match=r"names no callable; give a name such as"):
        Named(text)


def test_what_has_no_name_cannot_be_stored() -> None:
    """Each leaf and edge with such a callable is named, with the remedy."""

    here = "test_what_has_no_name_cannot_be_stored"

    def local() -> bool:
        return True

    lifecycle = refine(
        CONTRACT,
        "running",
        initial="a",
        states=[State("a", on_enter=[effects.Kind().bound]), State("b", on_exit=[print, id])],
        transitions=[
            Transition("go", "a", "b", guard=lambda: True),
            Transition("on", "a", "b", guard=local),
        ],
    )

    with pytest.raises(LifecycleFormatError) as caught:
        to_json(lifecycle)

    assert [problem.split(" cannot be stored")[0] for problem in caught.value.problems] == [
        "states.running.states.a.on_enter[0]: the callable 'Kind.bound'",
        f"states.running.transitions[0].guard: the callable '{here}.<locals>.<lambda>'",
        f"states.running.transitions[1].guard: the callable '{here}.<locals>.local'",
    ]
    assert "define it with 'def' at the top of a module" in str(caught.value)
    sketch = to_json(lifecycle, sketch=True)
    assert sketch["states"]["running"]["transitions"][0]["guard"] == f"{__name__}:unnamed"
    assert from_json(sketch).custom_triggers == ("go", "on")


def test_a_function_of_the_program_itself_cannot_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """``__main__`` is another module in every program."""
    monkeypatch.setattr(effects.enough, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "enough", effects.enough, raising=False)

    with pytest.raises(LifecycleFormatError, match="'__main__' is another module in every program"):
        to_json(DUMP)


@pytest.mark.parametrize(
    ("lifecycle", "message"),
    [
        (
            Lifecycle(initial="running", states=CONTRACT.states, transitions=CONTRACT.transitions),
            "no refinement of the contract's lifecycle leads to it",
        ),
        (
            refine(CONTRACT, "running", initial="a", states=[State("a", timeout_s=float("nan"))]),
            "states.running.states.a.timeout_s: expected a number above 0, not nan",
        ),
        (
            refine(CONTRACT, "running", initial="a", states=[State("a", timeout_s=-5)]),
            "states.running.states.a.timeout_s: expected a number above 0, not -5",
        ),
        (
            refine(CONTRACT, "running", initial="a", states=[State("a", final=True)]),
            "states.running.states.a: a leaf cannot be final",
        ),
        (refined(CONTRACT, "running", "a: go-on a a"), "'go-on' is no identifier"),
        (
            refine(CONTRACT, "running", initial="a", states=[State("a", description="\ud800")]),
            "states.running.states.a.description: the text has half of a surrogate pair",
        ),
    ],
)
def test_what_cannot_be_loaded_is_not_stored(lifecycle: Lifecycle, message: str) -> None:
    """A fault is told where it is made, and not by whoever reads the file."""
    with pytest.raises(LifecycleFormatError) as caught:
        to_json(lifecycle)

    assert message in str(caught.value)


def test_files_are_loaded_by_the_end_of_their_name(pyyaml: None, tmp_path: Path) -> None:
    """JSON and YAML files give the same lifecycle, a byte order mark or not."""
    (tmp_path / "a.JSON").write_text(json.dumps(to_json(DUMP)), encoding="utf-8-sig")
    (tmp_path / "a.yml").write_text(to_yaml(DUMP), encoding="utf-8")

    assert load_file(tmp_path / "a.JSON", resolve=True) == DUMP
    assert load_file(str(tmp_path / "a.yml"), resolve=True) == DUMP


@pytest.mark.parametrize(
    "text",
    [
        *("1e5", "0x1F", "1_000", "1:30", "~", "null", "Yes", "=", "2026-01-15", ".5", "+7"),
        *(".nan", "a\nb", "a\n", "\n", "a\x85b", "a\u2028b", " a ", "\t", "# a", "- a"),
        *("a: b", "'\"\\", "é😀\x00"),
    ],
)
def test_any_description_survives_yaml(pyyaml: None, text: str) -> None:
    """Texts that look like numbers, dates, words or marks of YAML come back as they were."""
    lifecycle = refine(CONTRACT, "running", initial="a", states=[State("a", description=text)])

    assert from_yaml(to_yaml(lifecycle)) == lifecycle


def test_words_of_older_yaml_are_texts(pyyaml: None) -> None:
    """A trigger may be named on, off, yes, no or y without quotes."""
    lifecycle = from_yaml(
        "version: 1\nstates:\n  running:\n    initial: no\n    states: {no: , on: {}}\n"
        "    transitions:\n    - {trigger: yes, source: no, target: on}\n"
        "    - {trigger: off, source: on, target: no}\n"
    )

    assert lifecycle.custom_triggers == ("yes", "off")
    assert lifecycle.target("running.no", "yes") == "running.on"

"""Exports to other tools: each is run by that tool, or by an interpreter that is not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest
import transitions
from hypothesis import HealthCheck, given, settings

from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.formats import (
    Named,
    UnresolvedName,
    to_scxml,
    to_transitions,
    to_xstate,
)
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.lifecycle.refinement import refine
from tests.lacking import lacking
from tests.lifecycle import formats_effects as effects
from tests.lifecycle.formats_refinements import lifecycles
from tests.lifecycle.formats_scxml import Interpreter

#: The version of XState that its export is run by.
XSTATE = "5.33.3"

GUARD = f"{effects.__name__}:enough"

DEEP = refine(
    refine(
        CONTRACT,
        "running",
        initial="dumping",
        states=[
            State("dumping", timeout_s=600, on_enter=[effects.opened]),
            State("compressing", on_signal="finish", on_exit=[effects.Kind.closed]),
        ],
        transitions=[
            Transition("dumped", "dumping", "compressing"),
            Transition("again", "compressing", "dumping", guard=effects.enough),
            Transition("again", "compressing", "compressing", description="too little"),
            Transition("complete", "compressing", "completing"),
        ],
    ),
    "running.dumping",
    initial="schema",
    states=[State("schema"), State("rows", expected_duration_s=30)],
    transitions=[
        Transition("next_table", "rows", "rows"),
        Transition("described", "schema", "rows"),
    ],
)

#: Each leaf and trigger of a lifecycle, and where they lead with guards that say yes or no.
Pairs = list[tuple[str, str, str | None]]


def pairs(lifecycle: Lifecycle, *, allowed: bool) -> Pairs:
    """Where each trigger leads from each leaf, by the declaration."""

    def target(leaf: str, trigger: str) -> str | None:
        edges = (e for e in lifecycle.edges(leaf) if e.trigger == trigger)
        return next((e.target for e in edges if allowed or e.guard is None), None)

    return [
        (leaf.name, trigger, target(leaf.name, trigger))
        for leaf in lifecycle.states
        for trigger in lifecycle.triggers
    ]


def scxml_pairs(lifecycle: Lifecycle, *, allowed: bool) -> Pairs:
    """Where they lead by the SCXML export."""
    interpreter = Interpreter(to_scxml(lifecycle), lambda _: allowed)
    found: Pairs = []
    for leaf in lifecycle.states:
        for trigger in lifecycle.triggers:
            interpreter.place(leaf.name)
            taken = interpreter.send(trigger)
            found.append((leaf.name, trigger, interpreter.state.get("id") if taken else None))
    return found


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("lifecycle", [CONTRACT, DEEP], ids=["contract", "deep"])
def test_scxml_leads_where_the_lifecycle_does(lifecycle: Lifecycle, allowed: bool) -> None:
    """Every leaf and every trigger have the same outcome, illegal ones included."""
    assert scxml_pairs(lifecycle, allowed=allowed) == pairs(lifecycle, allowed=allowed)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(lifecycles())
def test_scxml_of_any_lifecycle_leads_where_it_does(lifecycle: Lifecycle) -> None:
    """No nesting, order or name changes an outcome."""
    assert scxml_pairs(lifecycle, allowed=True) == pairs(lifecycle, allowed=True)


def test_scxml_leaves_and_enters_the_same_states() -> None:
    """What a step leaves and enters is what the running machine leaves and enters."""
    seen: list[str] = []
    machine = Machine(
        DEEP,
        {name: [lambda name=name: seen.append(f"+{name}")] for name in DEEP.names},
        exits={name: [lambda name=name: seen.append(f"-{name}")] for name in DEEP.names},
    )
    interpreter = Interpreter(to_scxml(DEEP))

    assert interpreter.state.get("id") == machine.state
    for trigger in ("start", "described", "next_table", "dumped", "again", "fail"):
        seen.clear()
        machine.fire(trigger, **({"rows": 10} if trigger == "again" else {}))
        interpreter.send(trigger)
        marks = [f"-{name}" for name in interpreter.exited]
        assert [*marks, *(f"+{name}" for name in interpreter.entered)] == seen


def test_scxml_marks_ends_and_carries_the_rest_as_data() -> None:
    """Both ends are final states; deadlines, policies and effects stand in one object."""
    root = Interpreter(to_scxml(DEEP)).root
    space = {"s": "http://www.w3.org/2005/07/scxml"}

    assert [each.get("id") for each in root.findall("s:final", space)] == ["terminated", "failed"]
    data = json.loads(root.findtext("s:datamodel/s:data", None, space))
    assert data["running.dumping"] == {
        "deadline": {"seconds": 600, "error_code": "JOB_TIMEOUT", "exit_code": 1},
        "on_enter": [f"{effects.__name__}:opened"],
    }
    assert data["running"]["deadline"]["variable"] == "BAQUP_JOB_TIMEOUT"
    assert data["running.dumping.rows"] == {"expected_duration_s": 30}
    assert f"guard('{GUARD}', _event.data)" in to_scxml(DEEP)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("lifecycle", [CONTRACT, DEEP], ids=["contract", "deep"])
def test_transitions_leads_where_the_lifecycle_does(lifecycle: Lifecycle, allowed: bool) -> None:
    """The library's own machine agrees on every leaf and every trigger."""
    arguments = json.loads(json.dumps(to_transitions(lifecycle)))

    class Model:
        state: str

    model = Model()
    machine = transitions.Machine(model, **arguments)
    assert model.state == lifecycle.initial
    found: Pairs = []
    for leaf in lifecycle.states:
        assert machine.get_state(leaf.name).final is leaf.final
        for trigger in lifecycle.triggers:
            machine.set_state(leaf.name, model)
            try:
                taken = model.trigger(trigger, rows=10 if allowed else 0)
            except transitions.MachineError:
                taken = False
            found.append((leaf.name, trigger, model.state if taken else None))

    assert found == pairs(lifecycle, allowed=allowed)


def test_a_guard_that_transitions_cannot_import_is_refused() -> None:
    """A function within a class has no dotted name that the library understands."""
    lifecycle = refine(
        CONTRACT,
        "running",
        initial="a",
        states=[State("a")],
        transitions=[Transition("go", "a", "a", guard=Named("m:Kind.ready"))],
    )

    with pytest.raises(UnresolvedName, match=r"'m:Kind.ready' cannot be exported to transitions"):
        to_transitions(lifecycle)


@pytest.mark.parametrize("export", [to_scxml, to_transitions, to_xstate])
def test_a_guard_without_a_name_is_not_exported(export: Callable[[Lifecycle], object]) -> None:
    """Another tool could not call it."""
    lifecycle = refine(
        CONTRACT,
        "running",
        initial="a",
        states=[State("a")],
        transitions=[Transition("go", "a", "a", guard=lambda: True)],
    )

    with pytest.raises(UnresolvedName, match="cannot be stored, because it cannot be imported"):
        export(lifecycle)


#: Puts an XState machine into each leaf, sends it each event, and tells where it came to.
_DRIVER = """
import {readFileSync} from 'node:fs';
import {setup, createActor, getNextSnapshot} from 'xstate';
const {config, leaves, triggers, guards, allowed} = JSON.parse(readFileSync(0, 'utf8'));
const calls = [];
const note = Object.fromEntries(['opened', 'Kind.closed'].map(
  (name) => [`tests.lifecycle.formats_effects:${name}`, () => calls.push(name)]));
const machine = setup({
  actions: note,
  guards: Object.fromEntries(guards.map((name) => [name, () => allowed])),
}).createMachine(config);
const path = (value) => typeof value === 'string' ? value
  : Object.entries(value).map(([outer, inner]) => `${outer}.${path(inner)}`)[0];
const value = (name) => {
  const [outer, ...inner] = name.split('.');
  return inner.length ? {[outer]: value(inner.join('.'))} : outer;
};
const pairs = [];
for (const leaf of leaves) {
  for (const type of triggers) {
    const here = machine.resolveState({value: value(leaf), context: {}});
    const legal = here.can({type});
    pairs.push([leaf, type, legal ? path(getNextSnapshot(machine, here, {type}).value) : null]);
  }
}
const actor = createActor(machine).start();
const run = [path(actor.getSnapshot().value)];
for (const type of ['start', 'described', 'dumped', 'complete', 'terminate']) {
  actor.send({type});
  run.push(path(actor.getSnapshot().value));
}
console.log(JSON.stringify({pairs, run, calls, status: actor.getSnapshot().status}));
"""


@pytest.fixture(scope="session")
def xstate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict]:
    """Runs a lifecycle's export under the real XState."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        lacking("Node.js with npm is not installed")
    folder = tmp_path_factory.mktemp("xstate")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", folder, f"xstate@{XSTATE}"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    if made.returncode != 0:
        lacking(f"XState cannot be installed: {made.stderr.strip()[-200:]}")
    (folder / "driver.mjs").write_text(_DRIVER)

    def run(lifecycle: Lifecycle, *, allowed: bool) -> dict:
        question = {
            "config": to_xstate(lifecycle),
            "leaves": [leaf.name for leaf in lifecycle.states],
            "triggers": lifecycle.triggers,
            "guards": [GUARD],
            "allowed": allowed,
        }
        answer = subprocess.run(
            [node, folder / "driver.mjs"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("lifecycle", [CONTRACT, DEEP], ids=["contract", "deep"])
def test_xstate_leads_where_the_lifecycle_does(
    xstate: Callable[..., dict], lifecycle: Lifecycle, allowed: bool
) -> None:
    """XState itself agrees on every leaf and every trigger."""
    found = xstate(lifecycle, allowed=allowed)["pairs"]

    assert [tuple(pair) for pair in found] == pairs(lifecycle, allowed=allowed)


def test_xstate_runs_to_the_end(xstate: Callable[..., dict]) -> None:
    """A whole run passes the same leaves, calls the effects, and is done at the end."""
    answer = xstate(DEEP, allowed=True)

    assert answer["run"] == [
        "initializing",
        "running.dumping.schema",
        "running.dumping.rows",
        "running.compressing",
        "completing",
        "terminated",
    ]
    assert answer["calls"] == ["opened", "Kind.closed"]
    assert answer["status"] == "done"


def test_xstate_carries_what_it_has_no_word_for() -> None:
    """Deadlines and policies stand under meta, and a stay enters its leaf again."""
    states = to_xstate(DEEP)["states"]
    running = states["running"]

    assert running["initial"] == "dumping"
    assert running["states"]["dumping"]["meta"]["deadline"]["seconds"] == 600
    assert running["states"]["compressing"]["meta"] == {"on_signal": "finish"}
    stay = running["states"]["dumping"]["states"]["rows"]["on"]["next_table"]
    assert stay == [{"target": "#baqup.running.dumping.rows", "reenter": True}]
    assert running["states"]["compressing"]["on"]["fail"] == [{"target": "#baqup.failed"}]
    assert states["failed"]["type"] == "final"

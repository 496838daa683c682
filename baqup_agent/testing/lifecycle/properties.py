"""What cannot be enumerated, left to hypothesis: walks with errors, runs with events, payloads.

Rules are made for each lifecycle, which has its own rules: a rule's function gets its
``__name__`` before `rule` sees it, every class has a name of its own, rules stand in the class
before it is first used, and a trigger that is illegal can always be fired, so that a machine in a
final state still has something to do. The searches are the same in every run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import count
from typing import Any, cast

from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from baqup_agent.lifecycle.illegal import RefusedTransition
from baqup_agent.testing.lifecycle.checks import Checks
from baqup_agent.testing.lifecycle.failure import LifecycleFailure, Passed
from baqup_agent.testing.lifecycle.inbox import Expiry, Item, Outage, Raise, Stop
from baqup_agent.testing.lifecycle.model import CONTRACT_TRIGGERS, Edge, Firing
from baqup_agent.testing.lifecycle.run import run
from baqup_agent.testing.lifecycle.runs import RunChecks
from baqup_agent.testing.lifecycle.scene import Scene

#: A failure is told by its message; the way through the kit to it tells nothing.
__tracebackhide__ = True

_NUMBERS = count(1)

#: What hypothesis would warn of, and what only says something about speed here.
_NO_MATTER = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
)

#: Most guarded edges of a trigger whose answers are drawn one by one.
_POSITIONS = st.none() | st.integers(0, 40)


def search(examples: int, steps: int = 20) -> settings:
    """The settings of a search: repeatable, silent, and without a clock."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=_NO_MATTER,
    )


def walks(checks: Checks, examples: int) -> None:
    """Fire at random, with errors in effects anywhere, legal and illegal triggers mixed."""
    run_state_machine_as_test(_walker(checks), settings=search(examples))


def _walker(checks: Checks) -> type[RuleBasedStateMachine]:
    model = checks.subject.model
    namespace: dict[str, Any] = {"scene": None, "__init__": _init, "begin": _beginning(checks)}
    for trigger in model.triggers:
        namespace[f"fire_{trigger}"] = _firing(trigger, model.edges)
    namespace["fire_illegal"] = _illegal(model.triggers)
    name = f"Walk{next(_NUMBERS)}Of{''.join(filter(str.isalnum, checks.subject.name))}"
    return cast("type[RuleBasedStateMachine]", type(name, (RuleBasedStateMachine,), namespace))


def _init(self: RuleBasedStateMachine) -> None:
    RuleBasedStateMachine.__init__(self)


def _beginning(checks: Checks) -> Any:
    def begin(self: Any) -> None:
        self.scene = checks.scene()

    return initialize()(begin)


def _firing(trigger: str, edges: tuple[Edge, ...]) -> Any:
    """The rule that fires one trigger where it is legal, its guards answering at random."""
    guards = [edge.index for edge in edges if edge.trigger == trigger and edge.guarded]
    answers = st.frozensets(st.sampled_from(guards)) if guards else st.just(frozenset())

    def fire(self: Any, agreeing: frozenset[int], fault: int | None, hard: bool) -> None:  # noqa: FBT001
        self.scene.fire(Firing(trigger, agreeing), fault, hard=hard)

    fire.__name__ = f"fire_{trigger}"
    made = rule(agreeing=answers, fault=_POSITIONS, hard=st.booleans())(fire)
    return precondition(lambda self: trigger in _legal(self.scene))(made)


def _illegal(triggers: tuple[str, ...]) -> Any:
    def fire_illegal(self: Any, trigger: str) -> None:
        if trigger not in _legal(self.scene):
            self.scene.fire(Firing(trigger))

    return rule(trigger=st.sampled_from([*triggers, "no such trigger"]))(fire_illegal)


def _legal(scene: Scene) -> tuple[str, ...]:
    return scene.model.legal(scene.leaf)


def runs(checks: RunChecks, examples: int, *, staged: bool) -> None:
    """Put signals, deadlines, bus outages and errors at random places of whole runs."""
    happy = checks.happy
    places = st.integers(0, len(happy))

    @search(examples)
    @given(events=st.lists(st.tuples(places, _events()), max_size=5), fault=st.none() | places)
    def interleaved(events: list[tuple[int, Item]], fault: int | None) -> None:
        plan = _woven(happy, events)
        passages = checks.passages(staged=staged)
        where = None if fault is None else passages[(fault * 7) % len(passages)]
        error = None if where is None else (where.spot, lambda: OSError(5, "an effect failed"))
        outcome = run(checks.subject, plan, fault=error, staged=staged)
        # Before there are settings, nobody knows where a status could be left.
        early = where is not None and str(where.spot) == "enter-initializing-0"
        unheard = early and outcome.exit_code != 0 and not outcome.statuses
        checks.hold(outcome, plan, statuses=0 if unheard else 1)
        checks.hold_cause(outcome, plan, failed=where)

    interleaved()


def _events() -> st.SearchStrategy[Item]:
    return st.one_of(
        st.sampled_from([Stop("SIGTERM"), Stop("SIGINT")]),
        st.sampled_from([Expiry(0), Expiry(1), Expiry(None)]),
        st.builds(Outage, down=st.booleans()),
        st.just(Raise(lambda: ValueError("the work failed"), "ValueError")),
    )


def _woven(happy: tuple[Firing, ...], events: list[tuple[int, Item]]) -> tuple[Item, ...]:
    plan: list[Item] = []
    for place in range(len(happy) + 1):
        plan += [item for at, item in events if at == place and _belongs(item, happy[:place])]
        plan += happy[place : place + 1]
    return tuple(plan)


def _belongs(item: Item, before: tuple[Firing, ...]) -> bool:
    """Whether the event can come there: the author's code raises only while it runs."""
    fired = {firing.trigger for firing in before}
    return not isinstance(item, Raise) or ("start" in fired and "complete" not in fired)


def guard(checks: Checks, index: int, examples: int) -> None:
    """Call the author's own guard with random payloads: the machine does what it answers."""
    edge = checks.subject.model.edges[index]
    author = checks.subject.lifecycle.transitions[index].guard
    if author is None:
        raise ValueError(f"edge {index} has no guard")

    @search(examples)
    @given(payload=_payloads(author))
    def answered(payload: dict[str, Any]) -> None:
        _compare_guard(checks, edge, author, payload)

    answered()


def _compare_guard(
    checks: Checks, edge: Edge, author: Callable[..., bool], payload: dict[str, Any]
) -> None:
    said: object
    try:
        said = bool(author(**payload))
    except Exception as error:  # noqa: BLE001  a guard that raises must change nothing
        said = type(error)
    scene = checks.scene(edge.source)
    scene.lend(edge.index, author)
    before = len(scene.machine.history)
    seen = _seen(scene, edge, payload)
    moved = len(scene.machine.history) - before
    where = edge.target if said is True else edge.source
    if (seen, moved, scene.machine.state) != (said, int(said is True), where):
        problem = f"the guard says {said!r} to {payload!r}, the machine made {seen!r} of it"
        raise LifecycleFailure(
            checks.subject.model.initial,
            [*scene.passed, Passed(edge.trigger, scene.machine.state)],
            problem,
        )


def _seen(scene: Scene, edge: Edge, payload: dict[str, Any]) -> object:
    try:
        scene.push(Firing(edge.trigger), **payload)
    except RefusedTransition:
        return False
    except Exception as error:  # noqa: BLE001  whatever the guard raised
        return type(error)
    return True


def _payloads(author: Callable[..., bool]) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads of the guard's own parameters, each there or not, of plain values."""
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    parameters = inspect.signature(author).parameters.values()
    named = {
        each.name: values
        for each in parameters
        if each.kind in {each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD}
    }
    required = {name: named[name] for name in named if _needed(author, name)}
    optional = {name: named[name] for name in named if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _needed(author: Callable[..., bool], name: str) -> bool:
    return inspect.signature(author).parameters[name].default is inspect.Parameter.empty


#: The triggers that a walk leaves to the driver.
DRIVERS_OWN = CONTRACT_TRIGGERS

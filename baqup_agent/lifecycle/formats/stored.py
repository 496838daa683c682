"""The stored form as a dict: what JSON and YAML files hold.

    version: 1
    states:
      running:
        initial: dumping
        states:
          dumping: {timeout_s: 600}
          compressing: {on_signal: finish}
        transitions:
          - {trigger: dumped, source: dumping, target: compressing}

Only what refines the contract is in it. States stand below the state they refine, in order and by
local names; a target outside is named in full. ``order`` tells the order of the refinements where
it is not the order of the text. ``transitions`` at the top tells every transition of the result
by full names, those of the contract among them, for the rare lifecycle that the refinements do not
tell completely; the states then have none.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.formats.members import Enough, Members
from baqup_agent.lifecycle.formats.plan import build, path_of
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError
from baqup_agent.lifecycle.formats.reading import read
from baqup_agent.lifecycle.formats.recovery import recover
from baqup_agent.lifecycle.formats.writing import write


def from_json(document: Any, *, resolve: bool = False) -> Lifecycle:
    """Build the lifecycle that a stored form tells.

    Args:
        document: the form, as `json.loads` returns it.
        resolve: import guards and effects at once; by default each stays a `Named` that imports
            its function when it is first called.

    Raises:
        LifecycleFormatError: the form is malformed; all that is wrong with it, as far as that can
            be told at once.
    """
    return build(read(document, resolve=resolve))


def to_json(lifecycle: Lifecycle, *, sketch: bool = False) -> dict[str, Any]:
    """Return the stored form of a lifecycle, ready for `json.dumps`.

    Args:
        lifecycle: a refinement of the contract's.
        sketch: write guards and effects that have no name as ``module:unnamed``, so that the
            form can be drawn, but not run.

    Raises:
        LifecycleFormatError: it cannot be stored: a guard or effect has no name, a value has no
            place in the form, or no refinement leads to it.
    """
    _check_leaves(lifecycle)
    plan = recover(lifecycle)
    document = write(plan, sketch=sketch)
    read(document, resolve=False)  # what is written can be read; a value of a wrong kind cannot
    return document


def _check_leaves(lifecycle: Lifecycle) -> None:
    """Refuse what no refinement should have let in, before it hinders finding the refinements."""
    members = Members()
    with suppress(Enough):
        _check(lifecycle, members)
    if members.problems:
        raise LifecycleFormatError(members.problems)


def _check(lifecycle: Lifecycle, members: Members) -> None:
    for state in (*lifecycle.compounds, *lifecycle.states):
        if state.leaf is None:
            continue
        path = path_of(state.name)
        for name in ("timeout_s", "expected_duration_s"):
            if getattr(state, name) is not None:
                members.duration({name: getattr(state, name)}, name, path)
        if state.final:
            members.add(path, "a leaf cannot be final; lead it to 'terminated' or 'failed' instead")

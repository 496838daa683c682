"""What a refinement refuses by itself, and what it leaves to the proof."""

from __future__ import annotations

import pytest

from baqup_agent import CONTRACT, State, Transition
from baqup_agent.contract import ExitCode
from baqup_agent.lifecycle.declaration import Deadline
from baqup_agent.lifecycle.proof import prove
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError, refine


def test_a_deadline_of_another_kind_is_refused() -> None:
    """It would end a run with an error that is not the phase's; the limit itself can be given."""
    other = Deadline("IO_ERROR", ExitCode.IO_ERROR, seconds=5)

    with pytest.raises(LifecycleDeclarationError, match="give it timeout_s"):
        refine(CONTRACT, "running", initial="a", states=[State("a", timeout_s=5, deadline=other)])


def test_a_leaf_that_was_placed_before_can_be_placed_again() -> None:
    """Its limit says the same as its deadline."""
    once = refine(CONTRACT, "running", initial="a", states=[State("a", timeout_s=5)])
    leaf = once.state("running.a")

    again = refine(
        CONTRACT, "running", initial="a",
        states=[State("a", timeout_s=leaf.timeout_s, deadline=leaf.deadline)],
    )  # fmt: skip

    assert again == once


def test_a_message_lists_a_few_of_many_names() -> None:
    """The rest is counted, and the message stays one line that can be read."""
    states = [State(f"s{number}") for number in range(1000)]

    with pytest.raises(LifecycleDeclarationError) as caught:
        refine(CONTRACT, "running", initial="xyzzy", states=states)

    assert "there are s0, s1, " in str(caught.value)
    assert str(caught.value).endswith("s11 and 988 more")


def test_a_refinement_that_goes_in_circles_is_left_to_the_proof() -> None:
    """No inner transition ends anywhere, so that the exit is inherited by no leaf."""
    lifecycle = refine(
        CONTRACT, "running", initial="a", states=[State("a"), State("b")],
        transitions=[Transition("go", "a", "b"), Transition("back", "b", "a")],
    )  # fmt: skip

    (error,) = prove(lifecycle).errors

    assert error.rule == "cannot-terminate"
    assert "'complete'" in error.remedy

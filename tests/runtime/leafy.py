"""An agent with leaves of its own in three phases; run as a script by the tests."""

from __future__ import annotations

import time

from baqup_agent import (
    CONTRACT,
    Agent,
    IllegalTransition,
    Job,
    RefusedTransition,
    State,
    Transition,
    Trigger,
    Triggers,
    refine,
)


def log_entry(name: str):
    def effect(job: Job) -> None:
        job.log.info(f"effect {name}")

    return effect


def rows_are_there(rows: int = 0) -> bool:
    return rows > 0


LIFECYCLE = refine(
    CONTRACT,
    "running",
    initial="dumping",
    states=[
        State(
            "dumping", timeout_s=1, expected_duration_s=30, description="all tables",
            on_enter=[log_entry("+dumping")], on_exit=[log_entry("-dumping")],
        ),
        State("sealing", on_signal="finish", on_enter=[log_entry("+sealing")]),
        State("resting", on_signal="ignore"),
    ],
    transitions=[
        Transition("dumped", "dumping", "sealing", guard=rows_are_there),
        Transition("sealed", "sealing", "resting"),
        Transition("rested", "resting", "dumping"),
        Transition("complete", "resting", "completing"),
        Transition("complete", "sealing", "completing"),
    ],
)  # fmt: skip
LIFECYCLE = refine(
    LIFECYCLE,
    "completing",
    initial="checking",
    states=[State("checking"), State("cataloguing", on_enter=[log_entry("+cataloguing")])],
    transitions=[Transition("checked", "checking", "cataloguing")],
)


class Dump(Triggers):
    dumped: Trigger
    sealed: Trigger
    rested: Trigger
    checked: Trigger


class LeafyAgent(Agent):
    """Moves through its leaves as it is told."""

    name = "agent-leafy"
    version = "1.0.0"
    lifecycle = LIFECYCLE

    def snapshot(self, job: Job[Dump]) -> None:
        act = job.config["BAQUP_SOURCE_ACT"]
        with job.staging.artifact("data") as out:
            out.write(b"x")
        if act == "linger":
            linger(job)
        if act == "illegal":
            try_what_is_illegal(job)
        if act == "stay":
            return
        job.lifecycle.dumped(rows=3)
        if act == "wait-in-sealing":
            wait(job)
        job.lifecycle.sealed()
        if act == "wait-in-resting":
            wait(job)
        if act == "loop":
            job.lifecycle.rested()
            job.lifecycle.dumped(rows=1)
        if act == "contract":
            job.lifecycle.fail()


def linger(job: Job[Dump]) -> None:
    job.log.info("act begun")
    while True:
        job.cancellation.sleep(0.01)


def wait(job: Job[Dump]) -> None:
    job.log.info("act begun")
    while not job.config["BAQUP_SOURCE_PATH"].exists():
        time.sleep(0.005)


def try_what_is_illegal(job: Job[Dump]) -> None:
    for ask in (job.lifecycle.sealed, lambda: job.lifecycle.dumped(rows=0)):
        try:
            ask()
        except (IllegalTransition, RefusedTransition) as error:
            job.log.info(str(error))


if __name__ == "__main__":
    LeafyAgent.main()

"""How long a proof takes, by the number of leaves; prints one line for each size.

    python -m tests.benchmarks.bench_proof

Each lifecycle has three edges for each leaf beside ``fail``: on to the next, skipping one, and back
under a guard; every tenth leaf has a limit.
"""

from __future__ import annotations

from time import perf_counter

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.proof import prove
from baqup_agent.lifecycle.refinement import refine

#: Leaves of each lifecycle.
SIZES = (5, 20, 100, 1_000, 2_000, 10_000)

#: Seconds spent on each size at least, so that the best of several runs is told.
SPENT_S = 0.5


def willing(**_payload: object) -> bool:
    """Let every transition pass."""
    return True


def lifecycle(leaves: int) -> Lifecycle:
    """The contract with ``running`` refined to that many leaves."""
    names = [f"step_{number}" for number in range(leaves)]
    edges = [Transition("complete", names[-1], "completing")]
    for at, name in enumerate(names[:-1]):
        edges.append(Transition("on", name, names[at + 1]))
        edges.append(Transition("skip", name, names[min(at + 2, leaves - 1)]))
        edges.append(Transition("back", name, names[max(at - 1, 0)], guard=willing))
    states = [State(name, timeout_s=60 if at % 10 == 0 else None) for at, name in enumerate(names)]
    return refine(CONTRACT, "running", initial=names[0], states=states, transitions=edges)


def best_s(declared: Lifecycle) -> float:
    """Seconds of the quickest proof."""
    times: list[float] = []
    while not times or sum(times) < SPENT_S:
        begun = perf_counter()
        proof = prove(declared)
        times.append(perf_counter() - begun)
        assert proof.ok, proof.errors
    return min(times)


def broken(declared: Lifecycle) -> Lifecycle:
    """The same without any ``fail``: an error, with a path, for each leaf."""
    edges = [edge for edge in declared.transitions if edge.trigger != "fail"]
    return Lifecycle(declared.initial, declared.states, edges, declared.compounds)


def main() -> None:
    """Measure and print."""
    print("  leaves    edges   refine ms    prove ms   broken ms")
    for leaves in SIZES:
        begun = perf_counter()
        declared = lifecycle(leaves)
        refined_s = perf_counter() - begun
        spoilt = broken(declared)
        begun = perf_counter()
        assert len(prove(spoilt).errors) >= leaves
        broken_s = perf_counter() - begun
        figures = (refined_s, best_s(declared), broken_s)
        columns = " ".join(f"{seconds * 1000:11.2f}" for seconds in figures)
        print(f"{leaves:8} {len(declared.transitions):8} {columns}")


if __name__ == "__main__":
    main()

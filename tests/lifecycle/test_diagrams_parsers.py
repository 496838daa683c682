"""Every Mermaid text is read by the real Mermaid, and every DOT text by the real Graphviz."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.diagrams import dot, mermaid, overlay, read_trace
from baqup_agent.lifecycle.diagrams.nesting import picture
from baqup_agent.lifecycle.refinement import refine
from tests.lacking import lacking
from tests.lifecycle.rich_example import RICH_EXAMPLE
from tests.lifecycle.traces import CUT, FAILING, GOOD, records, written
from tests.refresh import ROOT

#: What is installed: the parsers themselves, and a document for Mermaid to live in.
_PACKAGES = {"mermaid": "11.17.2", "jsdom": "24.1.3", "@viz-js/viz": "3.31.0"}

_SCRIPT = Path(__file__).with_name("mermaid_parser.mjs")

#: Leaves that are words of Mermaid's or Graphviz's own, or like the names they make up.
_WORDS = [
    "state",
    "note",
    "end",
    "end_",
    "start",
    "a_start",
    "direction",
    "class_",
    "classDef",
    "default",
    "fork",
    "choice",
    "node",
    "graph",
    "subgraph",
    "digraph",
    "edge",
    "strict",
    "style",
    "Übung",
    "a__b",
    "hide",
    "scale",
    "TB",
]


def _leaf(name: str) -> State:
    return State(name, description=f'{name}: "<b>" & {{x}}; #35; --> %% [*] \\ 100 % \n <br> é')


WORDS = refine(
    refine(
        CONTRACT, "running", initial="state", states=[_leaf(name) for name in (*_WORDS, "a")],
        transitions=[
            *(Transition(f"to_{b}", a, b) for a, b in pairwise(_WORDS)),
            Transition("end", "TB", "a", guard=lambda: True),
        ],
    ),
    "running.a", initial="b", states=[_leaf("b"), _leaf("start")],
    transitions=[Transition("on", "b", "start")],
)  # fmt: skip

LARGE = refine(
    CONTRACT, "running", initial="s0", states=[State(f"s{i}") for i in range(100)],
    transitions=[Transition(f"go{i}", f"s{i}", f"s{i + 1}") for i in range(99)],
)  # fmt: skip

LIFECYCLES = {"contract": CONTRACT, "rich": RICH_EXAMPLE, "words": WORDS, "large": LARGE}

RUNS = {"good": (GOOD, (0, None)), "failing": (FAILING, (69, "SOURCE_UNAVAILABLE")), "cut": (CUT,)}


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages, kept in a cache directory from one session to the next."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        if node is not None:
            lacking("node is here and npm, which brings the real Mermaid, is not")
        pytest.skip("the real Mermaid needs node and npm")
    place = _cache(tmp_path_factory)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of this session want them as well
        if not (place / "done").exists():
            _install(npm, place)
            (place / "done").touch()
    return place


def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's cache directory, or else one of this session."""
    name = f"baqup-agent-diagrams-{'-'.join(_PACKAGES.values())}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        (user / name).mkdir(parents=True, exist_ok=True)
    except OSError:
        found = tmp_path_factory.getbasetemp().parent / name
        found.mkdir(exist_ok=True)
        return found
    return user / name


def _install(npm: str, place: Path) -> None:
    (place / "package.json").write_text(json.dumps({"private": True, "dependencies": _PACKAGES}))
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--no-save"]
    installed = subprocess.run(
        [npm, "install", *options],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    if installed.returncode != 0:
        said = installed.stderr.strip().splitlines()[-3:]
        lacking(f"npm cannot install the parsers: {said}")


@pytest.fixture(scope="module")
def read(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the parsers said of every text, by format and name; one start of node for all."""
    traces = tmp_path_factory.mktemp("traces")
    runs = {
        name: overlay(RICH_EXAMPLE, read_trace(written(traces / name, records(*run))))
        for name, run in RUNS.items()
    }
    pictures = {name: (lifecycle, None) for name, lifecycle in LIFECYCLES.items()}
    pictures |= {name: (RICH_EXAMPLE, run) for name, run in runs.items()}
    texts = {
        form.__name__: {
            name: form(lifecycle, f'{name}: a "title" # \\', run)
            for name, (lifecycle, run) in pictures.items()
        }
        for form in (mermaid, dot)
    }
    for path in sorted((ROOT / "diagrams").glob("*.mmd")):
        texts["mermaid"][path.name] = path.read_text()
    texts["mermaid"]["broken"] = "stateDiagram-v2\n    a --> : b -->\n"
    texts["dot"]["broken"] = "digraph {"
    answers = _asked(node_modules, {form: list(rows.values()) for form, rows in texts.items()})
    return {form: dict(zip(rows, answers[form], strict=True)) for form, rows in texts.items()}


def _asked(node_modules: Path, texts: dict[str, list[str]]) -> dict[str, Any]:
    script = shutil.copy(_SCRIPT, node_modules)
    done = subprocess.run(
        ["node", str(script)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_the_parsers_do_refuse_what_is_wrong(read: dict[str, Any]) -> None:
    """Otherwise the rest would prove nothing."""
    assert read["mermaid"]["broken"]["error"]
    assert read["dot"]["broken"]["error"]


def test_every_mermaid_text_is_a_state_diagram_to_mermaid(read: dict[str, Any]) -> None:
    """The lifecycles, the runs over them, and the committed files."""
    answers = {name: row for name, row in read["mermaid"].items() if name != "broken"}

    assert {"contract.mmd", "agent-fs.mmd", "rich-example.mmd"} <= set(answers)
    assert {name: row["error"] for name, row in answers.items() if row["error"]} == {}
    assert {row["type"] for row in answers.values()} == {"stateDiagram"}


@pytest.mark.parametrize("name", LIFECYCLES)
def test_mermaid_reads_the_boxes_and_edges_that_were_meant(name: str, read: dict[str, Any]) -> None:
    """Each state in its box, each edge between its ends; nothing merged, nothing made up."""
    lifecycle: Lifecycle = LIFECYCLES[name]
    drawn = picture(lifecycle)
    answer = read["mermaid"][name]
    markers = ("stateStart", "stateEnd")
    nodes = [node for node in answer["nodes"] if node["shape"] not in markers]
    inside = {node["id"]: node["parent"] for node in nodes}
    ids = dict(zip((node.name for node in drawn.nodes()), inside, strict=True))
    edges = [edge for edge in answer["edges"] if {edge["from"], edge["to"]} <= set(inside)]

    for box in drawn.nodes():
        for child in box.children:
            assert inside[ids[child.name]] == ids[box.name]
    assert [inside[ids[root.name]] for root in drawn.roots] == [None] * len(drawn.roots)
    assert sorted((edge["from"], edge["to"]) for edge in edges) == sorted(
        (ids[arrow.source], ids[arrow.target]) for arrow in drawn.arrows
    )


def test_every_dot_text_is_a_picture_to_graphviz(read: dict[str, Any]) -> None:
    """Without any warning but that of a font."""
    answers = {name: row for name, row in read["dot"].items() if name != "broken"}
    said = [m for row in answers.values() for m in row["messages"] if "Falling back" not in m]

    assert {row["error"] for row in answers.values()} == {None}
    assert said == []
    assert all("<svg" in row["output"] for row in answers.values())

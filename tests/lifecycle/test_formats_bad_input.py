"""Malformed files: one clear line with file, line, column and member; never a hang, never code."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.formats import (
    LifecycleFormatError,
    from_json,
    load_file,
    loads,
    to_json,
    to_yaml,
)
from baqup_agent.lifecycle.refinement import refine
from tests.lifecycle.formats_optional import pyyaml

__all__ = ["pyyaml"]


def refusal(text: str, form: str = "json") -> LifecycleFormatError:
    """The error that a text is refused with."""
    with pytest.raises(LifecycleFormatError) as caught:
        loads(text, form)
    assert "\n" not in str(caught.value)
    return caught.value


def row(trigger: str, source: str, target: str) -> dict:
    """One transition of a stored form."""
    return {"trigger": trigger, "source": source, "target": target}


def running(states: object, **more: object) -> dict:
    """A stored form that refines ``running``."""
    phase = {"initial": "dumping", "states": states, **more}
    return {"version": 1, "states": {"running": phase}}


JSON_FAULTS = {
    "": "line 1, column 1: no JSON: Expecting value",
    "{\n  'a': 1}": "line 2, column 3: no JSON: Expecting property name",
    '{"version": 1,}': "line 1, column",
    '{"version": 1} x': "line 1, column 16: no JSON: Extra data",
    '{"version": 1, "version": 1, "states": {}}': "'version' is named twice in one object",
    '{"version": 1, "states": {}, "order": ' + "9" * 5000 + "}": "a number has too many digits",
    "[" * 100_000: "line 1, column 65: nested more than 64 levels deep",
    '{"a":' * 100_000: "line 1, column 321: nested more than 64 levels deep",
    '"' + "[" * 200 + '"': "expected an object, not '[[[",
    "[1, 2]": "line 1, column 1: expected an object, not a list",
    "null": "expected an object, not null",
    "NaN": "expected an object, not nan",
    "7": "expected an object, not 7",
}


@pytest.mark.parametrize(("text", "message"), JSON_FAULTS.items(), ids=range(len(JSON_FAULTS)))
def test_malformed_json_is_located(text: str, message: str) -> None:
    """A text that is no JSON, or no object, is refused with its place."""
    assert message in str(refusal(text))


YAML_FAULTS = {
    "": "the file is empty",
    "# nothing\n": "the file is empty",
    "a: [1\n": "line 2, column 1: no YAML: while parsing a flow sequence",
    "a: b: c\n": "line 1, column 5: no YAML: mapping values are not allowed",
    "version: 1\nversion: 1\n": "line 2, column 1: 'version' is named twice",
    "a: &x [1]\nb: *x\n": "line 1, column 4: anchors and aliases are not read",
    "b: *x\n": "line 1, column 4: anchors and aliases are not read",
    "a: !!python/object/apply:os.getcwd []\n": "line 1, column 4: tags are not read",
    "? [1, 2]\n: 3\n": "line 1, column 3: a key must be a name",
    "a: 1\n---\nb: 2\n": "line 2, column 1: a second document begins",
    "[" * 5000: "nested more than 64 levels deep",
    "\x07": "no YAML: ",
    "- 1\n": "line 1, column 1: expected an object, not a list",
    "1: 2\n": "expected a name as key, not 1; quote it",
}


@pytest.mark.parametrize("compiled", [True, False], ids=["libyaml", "python"])
@pytest.mark.parametrize(("text", "message"), YAML_FAULTS.items(), ids=range(len(YAML_FAULTS)))
def test_malformed_yaml_is_located(
    pyyaml: None, monkeypatch: pytest.MonkeyPatch, text: str, message: str, compiled: bool
) -> None:
    """What YAML could do beyond plain data is refused with its place, by either parser."""
    if not compiled:
        monkeypatch.delattr("yaml.CSafeLoader", raising=False)

    assert message in str(refusal(text, "yaml"))


def test_an_alias_bomb_is_not_lit(pyyaml: None) -> None:
    """Ten levels of ten references each are refused at the first."""
    rows = ["a0: &a0 [x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert "anchors and aliases are not read" in str(refusal("\n".join(rows), "yaml"))


MEMBER_FAULTS = [
    (
        running({"dumping": {"timeout_s": -1}}),
        "dumping.timeout_s: expected a number above 0, not -1",
    ),
    (running({"dumping": {"timeout_s": True}}), "expected a number above 0, not true"),
    (running({"dumping": {"timeout_s": "5"}}), "expected a number above 0, not '5'"),
    (running({"dumping": {"timeout_s": float("nan")}}), "expected a number above 0, not nan"),
    (running({"dumping": {"timeout_s": float("inf")}}), "expected a number above 0, not inf"),
    (running({"dumping": {"timeout_s": 10**400}}), "above 0, not 'a very large number'"),
    (running({"dumping": {"timeout": 5}}), "'timeout'; did you mean 'timeout_s'?"),
    (running({"dumping": {"on_signal": "halt"}}), "one of abort, finish, ignore, not 'halt'"),
    (running({"dumping": {"on_enter": ["f"]}}), "on_enter[0]: expected a name such as"),
    (running({"dumping": {}, "a b": {}}), "'a b' is no identifier"),
    (running({"dumping": {}, "": {}}), "'' is no identifier"),
    (running({"dumping": {}, "a.b": {}}), "'a.b' is no identifier"),
    (running({"dumpin": {}}), "initial: 'dumping' is no leaf; did you mean 'dumpin'?"),
    (running({}), "states.running.states: expected at least one leaf"),
    (running({"dumping": {"initial": "x"}}), "dumping.initial: has no sense without 'states'"),
    (
        running({"dumping": {}}, transitions=[{"trigger": "go"}]),
        "[0].source: expected a text, not null",
    ),
    (
        running({"dumping": {}}, transitions=[row("x-y", "dumping", "dumping")]),
        "transitions[0].trigger: 'x-y' is no identifier",
    ),
    (
        running({"dumping": {}}, transitions=[row("go", "dumping", "complete")]),
        "transitions[0].target: 'complete' is no leaf; did you mean 'completing'?",
    ),
    (
        running({"dumping": {}}, transitions=[row("go", "failed", "dumping")]),
        "transitions[0].source: 'failed' is no leaf; there are dumping",
    ),
    (
        {"version": 1, "states": {"runing": {}}},
        "'runing' is no phase that can be refined; did you mean 'running'?",
    ),
    ({"version": 1, "states": {"failed": {}}}, "'failed' is no phase that can be refined"),
    ({"version": True, "states": {}}, "version: expected 1, the version of this form, not true"),
    ({"version": 2, "states": {}}, "version: expected 1, the version of this form, not 2"),
    ({**running({"dumping": {}}), "order": []}, "order: expected each refined state once"),
    (
        {
            **running({"dumping": {"initial": "a", "states": {"a": {}}}}),
            "order": ["running.dumping", "running"],
        },
        "order[0]: 'running.dumping' comes before 'running'; name the outer first",
    ),
    (
        {"version": 1, "states": {}, "transitions": []},
        "states.running: no transition 'fail' leaves it",
    ),
]


@pytest.mark.parametrize(("document", "message"), MEMBER_FAULTS, ids=range(len(MEMBER_FAULTS)))
def test_a_wrong_member_is_named(document: dict, message: str) -> None:
    """The way to the member, the value, the rule and the remedy stand in one line."""
    assert message in str(refusal(json.dumps(document)))


OUTRIGHT = [
    row("start", "initializing", "running"),
    row("complete", "running", "completing"),
    row("terminate", "completing", "terminated"),
    *(
        {"trigger": "fail", "source": phase, "target": "failed"}
        for phase in ("initializing", "running", "completing")
    ),
]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (row("go", "running", "running"), "'running' are the contract's"),
        (row("go", "failed", "running"), "'failed' is final, and has no"),
        (row("go", "runnin", "failed"), "did you mean 'running'?"),
        (row("go", "running", "x"), "transitions[6].target: 'x' is no"),
    ],
)  # fmt: skip
def test_transitions_told_outright_cannot_leave_what_refine_builds(
    more: dict, message: str
) -> None:
    """An unrefined phase keeps the contract's transitions; ends have none."""
    document = {"version": 1, "states": {}, "transitions": OUTRIGHT}
    assert from_json(document) == CONTRACT

    with pytest.raises(LifecycleFormatError) as caught:
        from_json({**document, "transitions": [*OUTRIGHT, more]})
    assert message in str(caught.value)


def test_transitions_are_told_in_one_place() -> None:
    """A form that tells all transitions has none below its states."""
    stay = row("go", "dumping", "dumping")
    document = {**running({"dumping": {}}, transitions=[stay]), "transitions": []}

    assert "states.running.transitions: the top of the file tells" in str(
        refusal(json.dumps(document))
    )


def test_all_faults_are_told_at_once_with_their_places() -> None:
    """Four mistakes are four problems, each with the line and column of its member."""
    text = """{
  "version": 1,
  "states": {
    "running": {
      "initial": "dumpin",
      "states": {
        "dumping": {"timeout_s": 0, "on_signal": "wait"}
      },
      "transitions": [
        {"trigger": "go", "source": "dumping", "target": "nowhere"}
      ]
    }
  }
}"""
    assert [problem.split(":")[0] for problem in refusal(text).problems] == [
        "line 7, column 34",
        "line 7, column 50",
        "line 5, column 18",
        "line 10, column 58",
    ]


def test_faults_in_yaml_have_their_places_too(pyyaml: None) -> None:
    """A member's line and column are told for YAML as for JSON."""
    text = """version: 1
states:
  running:
    initial: a
    states:
      a:
        timeout_s: .nan
"""

    assert str(refusal(text, "yaml")) == (
        "line 7, column 20: states.running.states.a.timeout_s: expected a number above 0, not nan"
    )


def test_a_fault_of_the_refinement_itself_is_located() -> None:
    """What only building finds, as a target that was refined before, has its place."""
    inner = {"initial": "a", "states": {"a": None}}
    edge = row("go", "a", "running.dumping")
    document = running({"dumping": inner, "other": {**inner, "transitions": [edge]}})

    message = str(refusal(json.dumps(document, indent=1)))
    assert message.startswith("line 13, column 14: states.running.states.other: refinement of")
    assert "'running.dumping', which is no leaf" in message


def test_a_file_is_named_once(tmp_path: Path) -> None:
    """The line of a file's error begins with the file."""
    path = tmp_path / "bad.json"
    path.write_text('{"version": 1, "states": {"running": {}}}')

    with pytest.raises(LifecycleFormatError) as caught:
        load_file(path)
    assert str(caught.value) == (
        f"{path}: line 1, column 38: states.running: expected 'states', the leaves that refine it; "
        "leave an unrefined phase out"
    )


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Absent, a folder, a pipe, of another kind, in another encoding, of no name at all."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "latin.json").write_bytes(b'{"\xe9": 1}')
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "huge.json").write_text("é" * (4 * 1024 * 1024 + 1), encoding="utf-8")
    for name, message in {
        "absent.json": "cannot be read: No such file or directory; check the name",
        "pipe.json": "not a file",
        "folder.yaml": "not a file",
        "latin.json": "byte 3 is not UTF-8",
        "huge.json": "longer than 8388608 bytes",
        "lifecycle.toml": "expected a name that ends in .json, .yaml, .yml",
        "nul\0.json": "cannot be read: ",  # the words behind it are the interpreter's
    }.items():
        with pytest.raises(LifecycleFormatError) as caught:
            load_file(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {message}")


def test_an_unknown_format_is_a_programmers_error() -> None:
    """Only what can be loaded is named."""
    with pytest.raises(ValueError, match="'toml' is no format to load; give one of json, yaml"):
        loads("", "toml")


def test_without_pyyaml_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both directions say what to install."""
    monkeypatch.setitem(sys.modules, "yaml", None)

    assert "pip install 'baqup-agent[yaml]'" in str(refusal("a: 1", "yaml"))
    with pytest.raises(LifecycleFormatError, match="PyYAML, which is not installed"):
        to_yaml(CONTRACT)


def chain(length: int) -> dict:
    """A form of so many leaves in a row."""
    names = [f"s{n}" for n in range(length)]
    edges = [row("go", here, there) for here, there in itertools.pairwise(names)]
    phase = {"initial": "s0", "states": {name: {} for name in names}, "transitions": edges}
    return {"version": 1, "states": {"running": phase}}


def test_ten_thousand_leaves_load_and_more_are_refused() -> None:
    """The largest file is loaded and stored again in seconds; a larger one is refused."""
    begin = time.monotonic()
    lifecycle = loads(json.dumps(chain(10_000)), "json")
    assert len(lifecycle.states) == 10_004
    assert to_json(lifecycle) == chain(10_000)
    assert "may have 10000 leaves" in str(refusal(json.dumps(chain(10_001))))
    assert time.monotonic() - begin < 30


def deep(levels: int) -> dict:
    """A form of leaves within leaves."""
    state: dict = {}
    for _ in range(levels):
        state = {"initial": "a", "states": {"a": state}}
    return {"version": 1, "states": {"running": state}}


def test_nesting_has_an_end() -> None:
    """Sixteen levels are read, seventeen are not; a circle is as deep as can be."""
    assert from_json(deep(16)).initial == "initializing"
    with pytest.raises(LifecycleFormatError, match="at most 16 levels"):
        from_json(deep(17))
    circle: dict = {"initial": "a", "states": {}}
    circle["states"]["a"] = circle
    with pytest.raises(LifecycleFormatError, match="at most 16 levels"):
        from_json({"version": 1, "states": {"running": circle}})


def test_refinements_cannot_multiply_without_end() -> None:
    """Few lines can tell millions of transitions; they are refused before they are made."""
    begin = time.monotonic()
    many = [{"trigger": f"t{n}", "source": "a", "target": "b"} for n in range(5000)]
    inner = {"initial": "s0", "states": {f"s{n}": {} for n in range(5000)}}
    wide = {"initial": "a", "states": {"a": inner, "b": {}}, "transitions": many}
    assert "makes the lifecycle too large" in str(
        refusal(json.dumps({"version": 1, "states": {"running": wide}}))
    )
    single = {"initial": "x", "states": {"x": {}}}
    rows = {f"s{n}": single for n in range(4000)}
    assert "makes the lifecycle too large" in str(
        refusal(
            json.dumps({"version": 1, "states": {"running": {"initial": "s0", "states": rows}}})
        )
    )
    assert time.monotonic() - begin < 60


def test_inherited_transitions_count() -> None:
    """Three hundred leaves that inherit four hundred edges each are beyond the limit."""
    edges = [row(f"t{n}", "a", "b") for n in range(400)]
    inner = {"initial": "s0", "states": {f"s{n}": {} for n in range(300)}}
    phase = {"initial": "a", "states": {"a": inner, "b": {}}, "transitions": edges}

    message = str(refusal(json.dumps({"version": 1, "states": {"running": phase}})))
    assert "states.running.states.a: refining 'running.a' makes the lifecycle too large" in message


def test_a_file_of_thousands_of_faults_ends_soon() -> None:
    """Reading stops at a hundred problems; the message lists twenty."""
    document = chain(5000)
    for edge in document["states"]["running"]["transitions"]:
        edge["target"] = "nowhere"

    error = refusal(json.dumps(document))
    assert len(error.problems) == 100
    assert str(error).endswith("; and 80 more")


def refused(call: Callable[[], Lifecycle]) -> LifecycleFormatError | None:
    """The error of a call that may be refused, and otherwise has to give a lifecycle."""
    try:
        assert isinstance(call(), Lifecycle)
    except LifecycleFormatError as error:
        return error
    return None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["version", "states", "running", "initial", "transitions", "a", "trigger",
                         "source", "target", "guard", "timeout_s", "on_enter", "order"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(values)
def test_whatever_is_read_is_a_lifecycle_or_refused(value: object) -> None:
    """No document leads to another error."""
    error = refused(lambda: from_json(value))
    assert error is None or "\n" not in str(error)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_file_is_a_lifecycle_or_refused(data: st.DataObject) -> None:
    """A character lost, doubled or changed anywhere leads to no other error either."""
    text = json.dumps(running({"dumping": {"timeout_s": 5}, "b": {}}, transitions=[
        row("go", "dumping", "b")]))  # fmt: skip
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.text(max_size=2) | st.sampled_from(["{", "}", "[", "]", '"', ":", ",", "0"]))

    error = refused(lambda: loads(text[:at] + put + text[at + 1 :], "json"))
    assert error is None or "\n" not in str(error)


@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text("ab:-[]{}&*!|>'\"#%@,? \n\t0.~é\x85", max_size=30))
def test_any_yaml_is_a_lifecycle_or_refused(pyyaml: None, text: str) -> None:
    """No text of YAML's own signs leads to another error."""
    with pytest.raises(LifecycleFormatError):
        loads(text, "yaml")


def test_a_lifecycle_beyond_the_limits_cannot_be_stored() -> None:
    """What could not be loaded again is refused when it is stored."""
    names = [f"s{n}" for n in range(10_001)]
    lifecycle = refine(
        CONTRACT,
        "running",
        initial="s0",
        states=[State(name) for name in names],
        transitions=[Transition("go", "s0", "s1")],
    )

    with pytest.raises(LifecycleFormatError, match="may have 10000 leaves"):
        to_json(lifecycle)

"""The prose of the spec and its data files tell the same facts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]


@pytest.fixture(scope="module")
def prose(spec: Path) -> str:
    return (spec / "contract.md").read_text(encoding="utf-8")


def _rows(prose: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of every table under a heading, by their first cell, bare of backticks."""
    section = prose.split(f"\n{heading}\n", 1)[1]
    section = re.split(r"\n## ", section, maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {re.sub(r"`|\*\*\[SDK\]\*\*", "", row[0]).strip(): row for row in cells}


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_prose_and_data_name_the_same_variables(prose: str, load: Load) -> None:
    """No variable is mentioned that has no entry, and none has an entry that is not mentioned."""
    named = {name for name in re.findall(r"`(BAQUP_[A-Z_]+\*?)`", prose) if "SECRET" not in name}
    entries = {row["name"] for row in load("environment.json") if not row["secret"]}

    assert {name for name in named if not name.endswith("*")} == entries


def test_prose_and_data_give_variables_the_same_type_and_default(prose: str, load: Load) -> None:
    """The tables of §2 repeat environment.json."""
    rows = _rows(prose, "## §2 Configuration")
    told = {row["name"]: _facts_as_told(row) for row in load("environment.json")}

    assert {name: (rows[name][1].lower(), rows[name][2].strip("`")) for name in told} == told


def _facts_as_told(row: dict[str, Any]) -> tuple[str, str]:
    default = row["default"]
    if row["required"]:
        return row["type"], "required"
    if default is None:
        return row["type"], "per agent" if row["name"] == "BAQUP_SOURCE_PORT" else "-"
    text = ",".join(default) if isinstance(default, list) else str(default)
    return row["type"], text.lower() if isinstance(default, bool) else text


def test_prose_and_data_mark_the_same_variables_as_ours(prose: str, load: Load) -> None:
    """A variable that this SDK adds says so in both places."""
    rows = _rows(prose, "## §2 Configuration")
    marked = {name for name, row in rows.items() if "**[SDK]**" in row[0]}

    assert marked == {row["name"] for row in load("environment.json") if row["sdk"]}


def test_prose_and_data_name_the_same_words_of_an_enum(prose: str, load: Load) -> None:
    """The allowed words of an enum are told with its default, and no others."""
    rows = _rows(prose, "## §2 Configuration")
    enums = {row["name"]: set(row["enum"]) for row in load("environment.json") if "enum" in row}

    assert {name: set(_words(" ".join(rows[name][2:]))) for name in enums} == enums


def test_prose_and_data_agree_on_exit_codes(prose: str, load: Load) -> None:
    """Number, name, retry and error codes of the table in §5 are those of exit_codes.json."""
    rows = _rows(prose, "## §5 Errors")
    told = {
        str(entry["code"]): (
            [entry["name"]],
            entry["retriable"] or "-",
            [error["code"] for error in entry["error_codes"]],
        )
        for entry in load("exit_codes.json")
    }
    numbered = {code: row for code, row in rows.items() if code.isdigit()}

    assert {c: (_words(row[1]), row[3], _words(row[4])) for c, row in numbered.items()} == told


def test_prose_and_data_agree_on_event_codes(prose: str, load: Load) -> None:
    """The table of event codes is event_codes.json."""
    rows = _rows(prose, "## Event codes")
    told = {code: row[1] for code, row in rows.items() if code.isupper()}

    assert told == {entry["code"]: entry["severity"] for entry in load("event_codes.json")}


def test_the_diagram_in_the_prose_is_the_lifecycle(prose: str, load: Load) -> None:
    """Each edge that is drawn is declared, and each that is declared is drawn."""
    lifecycle = load("lifecycle.json")
    edges = {(edge["source"], edge["target"], edge["trigger"]) for edge in lifecycle["transitions"]}

    assert set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", prose, re.MULTILINE)) == edges
    assert re.findall(r"\[\*\] --> (\w+)", prose) == [lifecycle["initial"]]
    assert set(re.findall(r"(\w+) --> \[\*\]", prose)) == {
        state["name"] for state in lifecycle["states"] if state["final"]
    }


def test_prose_and_data_agree_on_deadlines(prose: str, load: Load) -> None:
    """The table of states in §1 repeats the deadlines of lifecycle.json."""
    rows = _rows(prose, "## §1 Lifecycle")
    limits = {}
    for state in load("lifecycle.json")["states"]:
        deadline = state["deadline"]
        if deadline is None:
            limits[state["name"]] = ("-", "-")
        else:
            limit = f"`{deadline['variable']}`" if "variable" in deadline else None
            limits[state["name"]] = (
                limit or f"{deadline['seconds']} s",
                f"`{deadline['error_code']}`, exit {deadline['exit_code']}",
            )

    assert {name: (rows[name][2], rows[name][3].rstrip(" |")) for name in limits} == limits


def test_an_expired_deadline_is_a_known_error(load: Load) -> None:
    """What lifecycle.json says of an expired deadline stands in exit_codes.json."""
    known = {
        (error["code"], entry["code"])
        for entry in load("exit_codes.json")
        for error in entry["error_codes"]
    }
    deadlines = [state["deadline"] for state in load("lifecycle.json")["states"]]

    assert {(each["error_code"], each["exit_code"]) for each in deadlines if each} <= known


def test_a_deadline_is_set_by_a_known_variable(load: Load) -> None:
    """The variable that sets a deadline is a number in environment.json."""
    numbers = {row["name"] for row in load("environment.json") if row["type"] == "int"}
    deadlines = [state["deadline"] for state in load("lifecycle.json")["states"]]

    assert {each["variable"] for each in deadlines if each and "variable" in each} <= numbers


def test_a_default_is_a_value_that_is_allowed(load: Load) -> None:
    """Each default has its variable's type and keeps to its bounds."""
    types: dict[str, type] = {"int": int, "bool": bool, "array": list}
    for row in load("environment.json"):
        default = row["default"]
        if default is not None:
            assert type(default) is types.get(row["type"], str), row["name"]
            assert default in row.get("enum", [default]), row["name"]
            assert row.get("minimum", default) <= default <= row.get("maximum", default)


def test_names_are_listed_once(load: Load) -> None:
    """No variable, exit code, error code or event code has two entries."""
    exits = load("exit_codes.json")
    lists = [
        [row["name"] for row in load("environment.json")],
        [entry["code"] for entry in exits],
        [error["code"] for entry in exits for error in entry["error_codes"]],
        [entry["code"] for entry in load("event_codes.json")],
    ]

    assert [len(set(names)) for names in lists] == [len(names) for names in lists]

"""``baqup-agent image``, as a person and a pipeline use it."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from baqup_agent.runtime.labels import as_dockerfile
from tests.cli.packaging_commands import Call, call
from tests.packaging.descriptions import agent_fs

__all__ = ["call"]


@pytest.fixture
def labels() -> dict[str, str]:
    """What the image of the built-in agent must carry."""
    return agent_fs().labels()


def test_equal_labels_are_equal(call: Call, tmp_path: Path, labels: dict[str, str]) -> None:
    """As JSON, as a Dockerfile: 0 and one word."""
    (tmp_path / "labels.json").write_text(json.dumps({**labels, "maintainer": "x"}))
    (tmp_path / "Dockerfile").write_text(f"FROM x\n{as_dockerfile(labels)}\n")

    for name in ("labels.json", "Dockerfile"):
        done = call("image", "check", "--labels", tmp_path / name, "fs")
        assert (done.code, done.out, done.err) == (0, "the labels are the agent's\n", "")


def test_every_difference_is_a_line_and_65(
    call: Call, tmp_path: Path, labels: dict[str, str]
) -> None:
    """Each with its remedy."""
    wrong = {**labels, "io.baqup.version": "0.0.0", "io.baqup.rolls": "x"}
    del wrong["io.baqup.agent"]
    (tmp_path / "labels.json").write_text(json.dumps(wrong))

    done = call("image", "check", "--labels", tmp_path / "labels.json", "fs")

    assert done.code == 65
    assert [line.split(":")[0] for line in done.out.splitlines()] == [
        "io.baqup.agent", "io.baqup.version", "io.baqup.rolls",
    ]  # fmt: skip
    assert "add io.baqup.agent='true'" in done.out


def test_labels_can_come_from_a_pipe(
    call: Call, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dash means standard input; null is what docker says of an image without labels."""
    for text, code in ((json.dumps(labels), 0), ("null\n", 65)):
        stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert call("image", "check", "--labels", "-", "fs").code == code


def stand_in_for_docker(folder: Path, inspected: str, code: int = 0) -> None:
    """A program called docker that tells these labels, and runs agent-fs as any image."""
    script = folder / "docker"
    script.write_text(
        f"""#!/bin/sh
echo "$@" >> {shlex.quote(str(folder / "calls"))}
case "$1" in
inspect) printf '%s' {shlex.quote(inspected)}; echo 'no such image' >&2; exit {code};;
run) for last; do :; done; exec {shlex.quote(sys.executable)} -m baqup_agent.agents.fs "$last";;
esac
"""
    )
    script.chmod(0o755)


def test_an_image_can_be_asked_by_its_name(
    call: Call, tmp_path: Path, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its labels are inspected, and without an agent the one in it is asked, cut off from all."""
    stand_in_for_docker(tmp_path, json.dumps(labels))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert call("image", "check", "--image", "x:1", "fs").code == 0
    assert call("image", "check", "--image", "x:1").code == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "inspect --type image --format {{json .Config.Labels}} x:1"
    assert calls[-2] == "run --rm --read-only --network none x:1 --info"


def test_an_image_that_docker_does_not_know_is_told(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With docker's own last words; and without a docker, that."""
    stand_in_for_docker(tmp_path, "", code=1)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    unknown = call("image", "check", "--image", "x:1", "fs")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    absent = call("image", "check", "--image", "x:1", "fs")

    assert (unknown.code, absent.code) == (64, 64)
    assert "'x:1': no such image; or give --labels FILE" in unknown.err
    assert "No such file or directory" in absent.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no object of texts"),
        ('{"a": 1}', "is no object of texts"),
        ("", "has no FROM line"),
        ("FROM x\nLABEL a='\n", ":2: LABEL has a ' without its end"),
        ("FROM x\nLABEL io.baqup.version=$V\n", "uses a build variable"),
    ],
)
def test_labels_that_cannot_be_read_are_told(
    call: Call, tmp_path: Path, text: str, message: str
) -> None:
    """64: nothing was compared."""
    (tmp_path / "labels").write_text(text)

    done = call("image", "check", "--labels", tmp_path / "labels", "fs")

    assert (done.code, done.out) == (64, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fs",), "give --labels FILE or --image REF"),
        (("--labels", "x", "--image", "y", "fs"), "give --labels FILE or --image REF"),
        (("--labels", "absent", "fs"), "'absent' cannot be read: No such file"),
        (("--labels", "/dev/null"), "has no FROM line"),
        (("--image", "-x", "fs"), "'-x' is no image"),
    ],
)
def test_a_mistake_is_one_line_and_64(call: Call, arguments: tuple[str, ...], message: str) -> None:
    """It tells what to give."""
    done = call("image", "check", *arguments)

    assert (done.code, done.out) == (64, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_labels_without_an_agent_to_compare_are_refused(
    call: Call, tmp_path: Path, labels: dict[str, str]
) -> None:
    """A file cannot be run."""
    (tmp_path / "labels.json").write_text(json.dumps(labels))

    done = call("image", "check", "--labels", tmp_path / "labels.json")

    assert done.code == 64
    assert "no agent given to compare with" in done.err


@pytest.mark.parametrize("form", ["arguments", "dockerfile", "json"])
def test_the_labels_are_printed_in_each_form(call: Call, labels: dict[str, str], form: str) -> None:
    """As the agent itself prints them."""
    ours = call("image", "labels", "--form", form, "fs")
    its_own = subprocess.run(
        [sys.executable, "-m", "baqup_agent.agents.fs", f"--labels={form}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ours.code == 0
    assert ours.out == its_own.stdout
    assert labels["io.baqup.version"] in ours.out


BEFORE = """\
# syntax
FROM x AS build
LABEL io.baqup.agent=kept
RUN ["true"]
FROM y
LABEL maintainer=me
LABEL io.baqup.version=old \\
    io.baqup.roles=old
LABEL io.baqup.schema=old
ENTRYPOINT ["x"]
"""


def test_labels_are_written_in_the_place_of_the_old_ones(
    call: Call, tmp_path: Path, labels: dict[str, str]
) -> None:
    """In the last stage, labels of others and everything else untouched; twice is once."""
    path = tmp_path / "Dockerfile"
    path.write_text(BEFORE)
    path.chmod(0o640)
    head, tail = BEFORE.partition("LABEL io.baqup.version")[0], 'ENTRYPOINT ["x"]\n'

    for _ in range(2):
        done = call("image", "labels", "--write", path, "fs")
        assert (done.code, done.out) == (0, f"{path}: {len(labels)} labels written\n")
        assert path.read_text() == f"{head}{as_dockerfile(labels)}\n{tail}"
    assert path.stat().st_mode & 0o777 == 0o640
    assert call("image", "check", "--labels", path, "fs").code == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('FROM x\nENTRYPOINT ["x"]\n', 'FROM x\n{}\nENTRYPOINT ["x"]\n'),
        ("FROM x\n", "FROM x\n{}\n"),
        ("FROM x", "FROM x\n{}\n"),
        ("FROM x\nUSER 1\n\n", "FROM x\nUSER 1\n{}\n\n"),
    ],
)
def test_a_dockerfile_without_labels_gets_them(
    call: Call, tmp_path: Path, labels: dict[str, str], before: str, after: str
) -> None:
    """Before its entry point, or at its end."""
    path = tmp_path / "Dockerfile"
    path.write_text(before)

    assert call("image", "labels", "--write", path, "fs").code == 0
    assert path.read_text() == after.format(as_dockerfile(labels))


def test_what_is_no_dockerfile_is_not_written_to(call: Call, tmp_path: Path) -> None:
    """64, and the file is as it was; nor is one made."""
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")

    assert call("image", "labels", "--write", path, "fs").code == 64
    assert path.read_text() == "hello\n"
    assert call("image", "labels", "--write", tmp_path / "absent", "fs").code == 64
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]

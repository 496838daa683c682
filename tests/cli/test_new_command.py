"""``baqup-agent new``, as a person uses it."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from tests.cli.packaging_commands import Call, call

__all__ = ["call"]


def test_a_project_is_written_where_one_stands(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder of the agent's name, with all its parts, and the next step told."""
    monkeypatch.chdir(tmp_path)

    done = call("new", "my-db")

    assert (done.code, done.err) == (0, "")
    assert done.out == "agent-my-db: 25 files written; begin with agent-my-db/README.md\n"
    written = {str(path.relative_to(tmp_path / "agent-my-db")) for path in tmp_path.rglob("*")}
    assert written >= {
        "pyproject.toml", "agent_my_db/agent.py", "agent_my_db/settings.py",
        "agent_my_db/lifecycle.py", "tests/test_lifecycle.py", "Dockerfile", ".dockerignore",
        "compose.yaml", "kubernetes/job.yaml", ".github/workflows/ci.yaml", "README.md",
        ".gitignore", "LICENSE",
    }  # fmt: skip


def test_a_dry_run_writes_nothing(call: Call, tmp_path: Path) -> None:
    """It lists what it would write and what that would overwrite."""
    (tmp_path / "README.md").write_text("mine")

    done = call("new", "my-db", "--directory", tmp_path, "--dry-run", "--force")

    assert done.code == 0
    assert "25 files would be written" in done.out
    (overwritten,) = [line for line in done.out.splitlines() if line.endswith("(overwrites)")]
    assert "README.md" in overwritten
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_role_that_was_not_asked_for_is_not_there(call: Call, tmp_path: Path) -> None:
    """Neither its module nor its tests nor its settings."""
    done = call("new", "my-db", "--directory", tmp_path, "--role", "snapshot")

    assert done.code == 0
    assert not list(tmp_path.rglob("*restore*"))
    assert "Restore" not in (tmp_path / "agent_my_db" / "settings.py").read_text()
    assert "io.baqup.roles='snapshot'" in (tmp_path / "Dockerfile").read_text()


def test_a_folder_in_use_is_left_alone(call: Call, tmp_path: Path) -> None:
    """64 and one line; with --force only files of the same names change."""
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")

    refused = call("new", "my-db", "--directory", tmp_path)
    assert refused.code == 64
    assert len(refused.err.splitlines()) == 1
    assert "is not empty (README.md, notes.txt)" in refused.err

    assert call("new", "my-db", "--directory", tmp_path, "--force").code == 0
    assert (tmp_path / "README.md").read_text().startswith("# agent-my-db")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("My DB",), 64, "did you mean 'my-db'?"),
        (("fs",), 64, "'agent-fs' comes with baqup-agent itself"),
        (("my-db", "--role", "sync"), 64, "'sync' is not one of 'snapshot', 'restore'"),
        ((), 64, "Missing argument 'NAME'"),
        (("my-db", "--directory", "/dev/null/x"), 73, "Not a directory"),
        (("my-db", "--directory", "/proc/nobody/x"), 73, "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(
    call: Call, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """And never a traceback."""
    done = call("new", *arguments)

    assert done.code == code
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_a_missing_package_is_told_with_its_remedy(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PyYAML there are no manifests, and nothing is written."""
    real = builtins.__import__

    def without_yaml(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "yaml":
            raise ModuleNotFoundError("No module named 'yaml'", name="yaml")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    done = call("new", "my-db", "--directory", tmp_path)

    assert done.code == 64
    assert 'pip install "baqup-agent[yaml]"' in done.err
    assert list(tmp_path.iterdir()) == []

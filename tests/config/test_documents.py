"""What people read of a declaration: table, template, words."""

from __future__ import annotations

from pathlib import Path

from baqup_agent.config.table import environment_table
from baqup_agent.config.template import environment_template
from baqup_agent.config.variables import VARIABLES
from baqup_agent.contract import Role
from baqup_agent.controller.env_file import read_env_file
from baqup_agent.runtime.configuring import read
from tests.config.generated import BASE
from tests.config.shop import ShopAgent

DECLARATION = ShopAgent.declaration()


def test_the_table_has_one_row_for_each_variable() -> None:
    """Name, type with its rules, default or need, purpose with its unit."""
    rows = environment_table(DECLARATION).splitlines()

    assert len(rows) == 2 + len(DECLARATION.variables)
    assert "| `BAQUP_JOB_ID` | uuid | required | unique id of the job |" in rows
    assert "| `BAQUP_SOURCE_DATABASES` | array | `all` | databases to read |" in rows
    assert "| `BAQUP_SOURCE_RATE` | float, at least 0.5 |  | most per second, MB |" in rows
    assert (
        "| `BAQUP_SOURCE_PATH` | directory that exists | required for snapshot "
        "| directory to read |" in rows
    )
    assert "| `BAQUP_SOURCE_CA_FILE` | path | required if BAQUP_SOURCE_TLS=true | who" in "".join(
        rows
    )
    assert r"string, at most 8 characters, matching [a-z\|]+" in "".join(rows)


def test_the_table_of_the_authors_own_leaves_the_contracts_out() -> None:
    """For a README."""
    rows = environment_table(DECLARATION, own=True).splitlines()[2:]

    assert {row.split("`")[1] for row in rows} == DECLARATION.own


def test_the_template_filled_in_is_a_valid_environment(tmp_path: Path) -> None:
    """What it leaves open is what is required; all else stands as a comment with its default."""
    text = environment_template(DECLARATION, ShopAgent.name, "snapshot")
    answers = {
        **BASE,
        "BAQUP_SECRET_DB_PASSWORD": "hunter2",
        "BAQUP_SOURCE_PATH": str(tmp_path),
    }
    lines = text.splitlines()
    open_names = [line[:-1] for line in lines if line and not line.startswith("#")]
    filled = [f"{line}{answers[line[:-1]]}" if line[:-1] in open_names else line for line in lines]
    (tmp_path / "job.env").write_text("\n".join(filled))

    assert sorted(open_names) == sorted(answers)
    environ = read_env_file(tmp_path / "job.env")
    assert read(ShopAgent, Role.SNAPSHOT, environ).problems == ()


def test_the_defaults_of_the_template_are_the_defaults(tmp_path: Path) -> None:
    """Every comment line that shows a default can be switched on and changes nothing."""
    text = environment_template(DECLARATION, ShopAgent.name)
    shown = [line[1:] for line in text.splitlines() if line.startswith("#BAQUP_")]
    given = [line for line in shown if not line.endswith("=")]
    (tmp_path / "job.env").write_text("\n".join(given))

    environ = {**BASE, "BAQUP_SECRET_DB_PASSWORD": "p"}
    plain = read(ShopAgent, None, environ).require()
    explicit = read(ShopAgent, None, {**environ, **read_env_file(tmp_path / "job.env")}).require()
    assert explicit == plain
    assert len(given) > len([each for each in VARIABLES if each.default is not None])

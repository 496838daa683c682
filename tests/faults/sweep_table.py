"""The table that a sweep prints: what was tried at each kind of step, and what broke."""

from __future__ import annotations

from attrs import Factory, define


@define
class Row:
    """The figures of one kind of step.

    Attributes:
        points: steps of that kind in the run.
        kills: attempts that were killed there.
        errors: attempts to which an error was reported there.
        published: attempts that left a manifest.
        reruns: attempts after which the job was run again.
        missed: attempts that went past the step without meeting it.
        violations: what should not be, one line each.
    """

    points: int = 0
    kills: int = 0
    errors: int = 0
    published: int = 0
    reruns: int = 0
    missed: int = 0
    violations: list[str] = Factory(list)


_HEADER = ("points", "kills", "errors", "published", "reruns", "missed", "violations")


def table(title: str, rows: dict[str, Row]) -> str:
    """Return the table, with a line for the total."""
    figures = {name: _figures(row) for name, row in rows.items()}
    figures["total"] = [sum(column) for column in zip(*figures.values(), strict=True)]
    lines = [_line(title, _HEADER), *(_line(name, row) for name, row in figures.items())]
    return "\n".join(lines)


def _figures(row: Row) -> list[int]:
    figures = [getattr(row, name) for name in _HEADER[:-1]]
    return [*figures, len(row.violations)]


def _line(name: str, cells: object) -> str:
    assert isinstance(cells, tuple | list)
    return f"{name:<26}" + "".join(f"{cell:>11}" for cell in cells)

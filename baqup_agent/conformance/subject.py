"""The agent that is judged, by what it says of itself and what conform.toml says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from baqup_agent.conformance.messages import parse_text
from baqup_agent.conformance.session import Session
from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable


class Subject:
    """What is known of an agent before any of its jobs.

    Args:
        session: keeps what the agent said, for all checks of a suite.
        ask: runs the agent with some arguments; returns what it printed, None if it failed.
    """

    def __init__(self, session: Session, ask: Callable[[tuple[str, ...]], str | None]) -> None:
        self._session = session
        self._file = session.settings.file
        self._ask = ask

    @property
    def role(self) -> str:
        """The role that checks use: ``snapshot`` if the agent has it, else its first."""
        return self.roles[0]

    @property
    def roles(self) -> list[str]:
        """The agent's roles, by ``--info``, else by conform.toml."""
        said = self.info().get("roles")
        roles = [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
        roles = roles or list(self._file.roles) or ["snapshot"]
        return sorted(roles, key=lambda one: one != "snapshot")

    def info(self) -> dict[str, Any]:
        """Return what ``--info`` prints; empty if that is no JSON object."""
        document = parse_text(self.text("--info"))
        return document if isinstance(document, dict) else {}

    def schema(self) -> Any:
        """Return the agent's JSON Schema.

        Raises:
            NotApplicable: it is not known where it is.
        """
        found = self._known_schema()
        if found is None:
            raise NotApplicable(
                "no schema is known; name it in conform.toml: [describe] schema or schema_file"
            )
        return found

    def variables(self) -> dict[str, dict[str, Any]]:
        """Return the variables of the agent's schema, each with its part of the schema."""
        document = self._known_schema()
        found = document.get("properties") if isinstance(document, dict) else None
        return {
            name: part
            for name, part in (found.items() if isinstance(found, dict) else ())
            if name.startswith("BAQUP_") and isinstance(part, dict)
        }

    def secrets(self) -> list[str]:
        """Return the names of its secret variables, by conform.toml and by its schema."""
        marked = [name for name, part in self.variables().items() if part.get("writeOnly")]
        return sorted({*self._file.secrets, *marked})

    def labels(self) -> Any:
        """Return the labels of its image as an object.

        Raises:
            NotApplicable: conform.toml says that it has none, or not where they are.
        """
        if (reason := self._file.lacks.get("labels")) is not None:
            raise NotApplicable(f"[lacks] labels: {reason}", stated=True)
        if self._file.labels is not None:
            return parse_text(self.text(*self._file.labels))
        if self._file.labels_file is not None:
            return parse_text(_read(self._file.labels_file))
        raise NotApplicable(
            "no labels are known; name them in conform.toml: [describe] labels or labels_file"
        )

    def shipped_schema(self) -> Any:
        """Return the schema file that is shipped with it; None if conform.toml names none."""
        path = self._file.schema_file
        return None if path is None else parse_text(_read(path))

    def text(self, *arguments: str) -> str | None:
        """Return what it prints for some arguments, asked once a suite; None if it failed."""
        return self._session.once(("text", *arguments), lambda: self._ask(arguments))

    def _known_schema(self) -> Any:
        """Return what it prints, else what is shipped with it; None if neither is known."""
        printed = parse_text(self.text(*self._file.schema)) if self._file.schema else None
        return self.shipped_schema() if printed is None else printed


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotJudge(f"{path} of conform.toml cannot be read: {error}") from error

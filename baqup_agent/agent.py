"""The class that authors subclass: a name, a version, and a method for each role.

Kept light, because ``--info`` is answered from here: nothing slow is imported before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from baqup_agent.contract import CONTRACT_VERSION, STOP_GRACE_S, AgentState, Role

if TYPE_CHECKING:
    from baqup_agent.config.declaration import Declaration
    from baqup_agent.config.variables import Variable
    from baqup_agent.lifecycle.declaration import Lifecycle

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Agent:
    """Base of every agent; roles are methods that take the job.

    A subclass defines some of ``snapshot``, ``restore``, ``migrate``, ``sync``, ``transfer`` and
    ``fetch``, each taking a `Job` and returning nothing. One object serves one job.

    Attributes:
        name: lower-case words joined by hyphens, for example ``agent-sqlite``.
        version: the agent's own version.
        lifecycle: a refinement of the contract's lifecycle; the contract's own by default.
        settings: what the agent reads, as a class of settings (see `baqup_agent.config.fields`);
            where roles differ much, one for each role that has any, by the role's word.
        variables: the same as rows of a table, which needs no attrs and so starts quicker.
        requires: for each role, the names of variables that it cannot do without.
        build: where the image came from, for ``--info``.
        requirements: memory, for ``--info``.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    lifecycle: ClassVar[Lifecycle]
    settings: ClassVar[type[Any] | Mapping[str, type[Any]] | None] = None
    variables: ClassVar[tuple[Variable, ...]] = ()
    requires: ClassVar[Mapping[str, Sequence[str]]] = {}
    build: ClassVar[Mapping[str, str | None]] = {"commit": None, "date": None}
    requirements: ClassVar[Mapping[str, str]] = {
        "min_memory": "64M",
        "recommended_memory": "256M",
    }

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if not cls.roles():
            return  # a base class of other agents
        if not _NAME.fullmatch(getattr(cls, "name", "")):
            raise TypeError(
                f"{cls.__name__}.name must be lower-case words joined by hyphens, for example "
                f"'agent-sqlite'; it is {getattr(cls, 'name', None)!r}"
            )
        if not getattr(cls, "version", ""):
            raise TypeError(f"{cls.__name__}.version must be set, for example '1.0.0'")
        if hasattr(cls, "lifecycle"):
            cls._check_lifecycle()
        if cls.settings is not None or cls.variables or cls.requires:
            cls.declaration()  # an author learns of a contradiction on import

    @classmethod
    def _check_lifecycle(cls) -> None:
        from baqup_agent.job.triggers import check_declared
        from baqup_agent.lifecycle.proof import require_proof

        require_proof(cls.lifecycle, cls.name)
        for role in cls.roles():
            check_declared(getattr(cls, role.value), cls.lifecycle)

    @classmethod
    def roles(cls) -> tuple[Role, ...]:
        """The roles that the class defines a method for, in the contract's order."""
        return tuple(role for role in Role if callable(getattr(cls, role.value, None)))

    @classmethod
    def declared_lifecycle(cls) -> Lifecycle:
        """The class's own ``lifecycle``, or the contract's."""
        from baqup_agent.lifecycle.declaration import CONTRACT

        return getattr(cls, "lifecycle", CONTRACT)

    @classmethod
    def declaration(cls) -> Declaration:
        """All that the class reads from its environment.

        Raises:
            DeclarationError: what it declares contradicts itself or the contract.
        """
        from baqup_agent.config.declaration import declare

        return declare(
            (*cls.variables, *_variables_of(cls.settings)),
            roles=[role.value for role in cls.roles()],
            requires=cls.requires,
        )

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the agent's ``agent-schema.json``, as ``--schema`` prints it (Contract §2)."""
        from baqup_agent.config.schema import schema_of

        return schema_of(cls.declaration(), f"Environment of {cls.name}")

    @classmethod
    def info(cls) -> dict[str, Any]:
        """Return the self-description that ``--info`` prints (Contract §8)."""
        return {
            "agent": cls.name,
            "version": cls.version,
            "contract_version": CONTRACT_VERSION,
            "build": dict(cls.build),
            "roles": [role.value for role in cls.roles()],
            "capabilities": {
                "compression": ["zstd", "gzip", *_if_installed("lz4", "lz4"), "none"],
                "checksums": ["sha256", "sha512", *_if_installed("blake3", "blake3")],
                "encryption": _if_installed("cryptography", "aes-256-gcm", "chacha20-poly1305"),
                "parallel": True,  # the compressor takes the workers that it is given
            },
            "requirements": dict(cls.requirements),
            "stop_grace_seconds": STOP_GRACE_S,
            "lifecycle": cls._leaves(),
            "variables": _told(cls.declaration()),
        }

    @classmethod
    def _leaves(cls) -> dict[str, list[str]]:
        """The leaves of each phase by their names below it; itself where it is not refined."""
        if not hasattr(cls, "lifecycle"):
            return {phase.value: [phase.value] for phase in AgentState}
        return {
            phase.value: [state.leaf or state.name for state in cls.lifecycle.leaves(phase)]
            for phase in AgentState
        }

    @classmethod
    def main(cls, argv: Sequence[str] | None = None) -> NoReturn:
        """Run the agent's command line and leave the process with the contract's exit code.

        Args:
            argv: the arguments after the program's name; the process's own by default.

        Raises:
            SystemExit: always.
        """
        from baqup_agent.runtime.main import main

        main(cls, argv)


def _variables_of(settings: type[Any] | Mapping[str, type[Any]] | None) -> Iterator[Variable]:
    if settings is None:
        return
    from baqup_agent.config.records import variables_by_role, variables_of  # they need attrs

    if isinstance(settings, Mapping):
        yield from variables_by_role(settings)
    else:
        yield from variables_of(settings)


def _told(declaration: Declaration) -> list[dict[str, Any]]:
    """What ``--info`` says of each variable; the schema says more."""
    from baqup_agent.config.declaration import default_of
    from baqup_agent.config.schema import described
    from baqup_agent.config.variables import Kind

    return [
        {
            "name": variable.name,
            "type": variable.kind.value,
            "required": variable.required,
            "required_for": list(variable.required_for),
            "default": default_of(variable),
            "secret": variable.kind is Kind.SECRET,
            "description": described(variable),
        }
        for variable in declaration.variables.values()
    ]


def _if_installed(package: str, *names: str) -> list[str]:
    """Return what a package brings with it; nothing where it is not installed."""
    from importlib.util import find_spec

    return list(names) if find_spec(package) is not None else []

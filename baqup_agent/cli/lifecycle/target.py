"""What a lifecycle command is about: an agent's class, or a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from attrs import frozen

from baqup_agent.agent import Agent
from baqup_agent.errors import UsageError
from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

_FORMS = "give module:Class, path/to/agent.py:Class, contract, or a .json, .yaml or .yml file"


@frozen
class Target:
    """A lifecycle, and what it is called.

    Attributes:
        name: a title for people.
        lifecycle: the declaration.
    """

    name: str
    lifecycle: Lifecycle


def find(text: str) -> Target:
    """Return the lifecycle that ``text`` names.

    Args:
        text: ``module:Class``, ``path.py:Class``, ``contract``, or a file of a stored lifecycle.

    Raises:
        UsageError: there is no such thing.
    """
    if text == "contract":
        return Target("The lifecycle of a baqup job", CONTRACT)
    if Path(text).suffix in {".json", ".yaml", ".yml"}:
        return Target(Path(text).name, _stored(Path(text)))
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"{text!r} names no lifecycle; {_FORMS}")
    agent = _agent(_module(place), place, name)
    return Target(agent.name, agent.declared_lifecycle())


def _stored(path: Path) -> Lifecycle:
    from baqup_agent.lifecycle.formats import load_file

    try:
        return load_file(path)
    except LifecycleDeclarationError as error:
        raise UsageError(str(error)) from error


def _module(place: str) -> ModuleType:
    try:
        if place.endswith(".py"):
            return _module_of_file(Path(place))
        if "" not in sys.path:
            sys.path.insert(0, "")  # an author's module lies where they stand
        return importlib.import_module(place)
    except ImportError as error:
        raise UsageError(f"{place!r} cannot be imported: {error}; {_FORMS}") from error
    except OSError as error:
        raise UsageError(f"{place!r} cannot be read: {error.strerror}; {_FORMS}") from error
    except Exception as error:
        # The author's own code failed, a lifecycle that does not hold among it.
        raise UsageError(f"{place!r} fails on import: {type(error).__name__}: {error}") from error


def _module_of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(path)!r} is no Python file; {_FORMS}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _agent(module: ModuleType, place: str, name: str) -> type[Agent]:
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Agent) and found.roles():
        return found
    agents = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Agent) and value.roles()
    ]
    close = get_close_matches(name, agents, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(agents) or 'none'}"
    raise UsageError(f"{place!r} has no agent {name!r}; {hint}")

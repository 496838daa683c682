"""Guards and effects by name: how a callable is written down, and found again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

_FORM = "a name such as 'package.module:function'"


class UnresolvedName(LifecycleDeclarationError):
    """A guard or effect cannot be found under its name, or has none to be stored by."""


def _checked(_instance: object, _attribute: object, reference: str) -> None:
    if not is_reference(reference):
        raise UnresolvedName(f"{reference!r} names no callable; give {_FORM}")


@frozen
class Named:
    """A guard or effect that a file names; imported when it is first called, and not before.

    Two of the same name are equal.

    Attributes:
        reference: ``module:function``, dotted where a package or class holds it.
    """

    reference: str = field(validator=_checked)

    def __call__(self, *arguments: Any, **payload: Any) -> Any:
        """Import the callable and call it.

        Raises:
            UnresolvedName: there is no such callable.
        """
        return resolved(self.reference)(*arguments, **payload)

    def __str__(self) -> str:
        return self.reference


def is_reference(text: object) -> bool:
    """Whether ``text`` has the form of a name that `Named` accepts."""
    if not isinstance(text, str):
        return False
    module, colon, name = text.partition(":")
    return bool(colon) and all(
        part.isidentifier() for part in [*module.split("."), *name.split(".")]
    )


def resolved(reference: str) -> Callable[..., Any]:
    """Import the callable of that name.

    Raises:
        UnresolvedName: the module cannot be imported, or holds no such callable.
    """
    place, _, name = reference.partition(":")
    try:
        # A module that is being imported by another thread must be waited for, so no shortcut.
        found: Any = importlib.import_module(place)
    except (Exception, SystemExit) as error:  # another's code fails in its own way
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnresolvedName(
            f"{reference!r} cannot be imported ({reason}); install its module or correct the name"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UnresolvedName(
                f"{reference!r} does not exist: {place!r} has no {name!r}; correct the name"
            )
        found = getattr(found, part)
    if not callable(found):
        raise UnresolvedName(f"{reference!r} is no callable; name a function")
    return found  # type: ignore[no-any-return]


def reference(function: Callable[..., Any]) -> str:
    """Return the name under which a callable can be imported again.

    Raises:
        UnresolvedName: there is none, as for a lambda, a local function or a bound method.
    """
    if isinstance(function, Named):
        return function.reference
    text = f"{getattr(function, '__module__', None)}:{getattr(function, '__qualname__', None)}"
    module = sys.modules.get(str(getattr(function, "__module__", None)))
    if not is_reference(text) or not _holds(module, text.partition(":")[2], function):
        raise UnresolvedName(
            f"{described(function)} cannot be stored, because it cannot be imported by a name; "
            "define it with 'def' at the top of a module"
        )
    if text.startswith("__main__:"):
        raise UnresolvedName(
            f"{described(function)} cannot be stored, because '__main__' is another module in "
            "every program; move it into a module that can be imported"
        )
    return text


def _holds(module: object, name: str, function: object) -> bool:
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    # A method bound to a class is made anew each time; it equals itself.
    return found is function or (found is not None and found == function)


def described(function: object) -> str:
    """A callable as it is told to people."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"the callable {name!r}"


def sketched(function: Callable[..., Any]) -> str:
    """The name of a callable; for one that has none, a name that says so and leads nowhere."""
    try:
        return reference(function)
    except UnresolvedName:
        module = str(getattr(function, "__module__", "")) or "unknown"
        text = f"{module}:unnamed"
        return text if is_reference(text) else "unknown:unnamed"

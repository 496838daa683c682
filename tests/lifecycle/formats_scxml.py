"""A small interpreter of SCXML, written from the W3C's algorithm and not from our exporter.

Atomic and compound states, event matching by tokens, conditions, external transitions with exit
and entry sets; what a lifecycle needs, and nothing that it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

_S = "{http://www.w3.org/2005/07/scxml}"
_STATES = (f"{_S}state", f"{_S}final")


class Interpreter:
    """Runs a document.

    Args:
        text: the document.
        condition: decides a ``cond`` by its text.
    """

    def __init__(self, text: str, condition: Callable[[str], bool] = lambda _: True) -> None:
        self.root = ET.fromstring(text)
        assert self.root.tag == f"{_S}scxml"
        assert self.root.get("version") == "1.0"
        self.condition = condition
        self.parent = {child: outer for outer in self.root.iter() for child in outer}
        self.by_id = {e.get("id"): e for e in self.root.iter() if e.tag in _STATES}
        self.exited: list[str] = []
        self.entered: list[str] = []
        self.state = self._default(self.by_id[self.root.get("initial")])

    def _default(self, element: Any) -> Any:
        while children := [child for child in element if child.tag in _STATES]:
            initial = element.get("initial")
            element = self.by_id[initial] if initial else children[0]
        return element

    def _path(self, element: Any) -> list[Any]:
        path = [element]
        while path[0] in self.parent:
            path.insert(0, self.parent[path[0]])
        return path

    def place(self, name: str) -> None:
        """Put the interpreter into a leaf."""
        self.state = self.by_id[name]

    def send(self, event: str) -> bool:
        """Give it an event; whether a transition was taken."""
        for element in reversed(self._path(self.state)):
            for transition in element.findall(f"{_S}transition"):
                if self._matches(transition, event):
                    self._take(element, transition)
                    return True
        return False

    def _matches(self, transition: Any, event: str) -> bool:
        descriptors = [word.removesuffix(".*") for word in transition.get("event").split()]
        named = any(event == word or event.startswith(f"{word}.") for word in descriptors)
        cond = transition.get("cond")
        return named and (cond is None or self.condition(cond))

    def _take(self, source: Any, transition: Any) -> None:
        target = self._default(self.by_id[transition.get("target")])
        # The least common proper ancestor of source and target is not left.
        around = [e for e in self._path(source)[:-1] if e in self._path(target)[:-1]]
        domain = around[-1]
        self.exited = [
            e.get("id") for e in reversed(self._path(self.state)) if e not in self._path(domain)
        ]
        self.entered = [e.get("id") for e in self._path(target) if e not in self._path(domain)]
        self.state = target

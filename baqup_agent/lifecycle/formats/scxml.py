"""A lifecycle as SCXML, the W3C's State Chart XML 1.0.

A guard becomes a condition that calls ``guard(name, data)``, which the host provides. Deadlines,
signal policies and effects have no counterpart that means the same; they travel as data, one
object by the names of states.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from baqup_agent.lifecycle.declaration import Lifecycle, Transition
from baqup_agent.lifecycle.formats.named import reference
from baqup_agent.lifecycle.formats.tree import Node, every, facts, tree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_NAMESPACE = "http://www.w3.org/2005/07/scxml"

#: Id of the data that holds what SCXML has no word for.
DATA = "baqup"


def to_scxml(lifecycle: Lifecycle) -> str:
    """Return the document as text.

    Args:
        lifecycle: what is exported; each leaf is a ``state`` within those it refines.

    Raises:
        UnresolvedName: a guard or effect has no name.
    """
    from xml.etree import ElementTree as ET

    root = ET.Element(
        "scxml",
        {
            "xmlns": _NAMESPACE,
            "version": "1.0",
            "datamodel": "ecmascript",
            "initial": lifecycle.initial,
        },
    )
    phases = tree(lifecycle)
    data = ET.SubElement(ET.SubElement(root, "datamodel"), "data", {"id": DATA})
    data.text = json.dumps(
        {node.state.name: row for node in every(phases) if (row := facts(node.state))}, indent=2
    )
    for node in phases:
        _append(root, node)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _append(outer: Element, node: Node) -> None:
    from xml.etree import ElementTree as ET

    if node.state.final:
        ET.SubElement(outer, "final", {"id": node.state.name})
        return
    initial = {} if node.initial is None else {"initial": node.initial}
    element = ET.SubElement(outer, "state", {"id": node.state.name} | initial)
    for edge in node.edges:
        ET.SubElement(element, "transition", _attributes(edge))
    for inner in node.inside:
        _append(element, inner)


def _attributes(edge: Transition) -> dict[str, str]:
    row = {"event": edge.trigger}
    if edge.guard is not None:
        row["cond"] = f"guard('{reference(edge.guard)}', _event.data)"
    return row | {"target": edge.target}

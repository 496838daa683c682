"""HTML as a tree, so that whatever an agent wrote can never become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

#: What may stand inside an element; None is left out.
Child = ET.Element | str | None

#: Characters that do not show, or turn the text around them: an agent may have written any.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\ufffe\uffff]"
)


def element(tag: str, *children: Child, **attributes: object) -> ET.Element:
    """Return an element.

    Args:
        tag: its name.
        *children: elements and texts, in order.
        **attributes: ``class_`` is ``class``, and an underscore inside a name a hyphen; False and
            None leave one out, True gives it no value.
    """
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            text = "" if value is True else visible(str(value))
            made.set(name.rstrip("_").replace("_", "-"), text)
    last: ET.Element | None = None
    for child in children:
        if isinstance(child, str):
            _append_text(made, last, visible(child))
        elif child is not None:
            made.append(child)
            last = child
    return made


def group(children: Iterable[Child], tag: str = "div", **attributes: object) -> ET.Element:
    """Return an element around children that are made one by one."""
    return element(tag, *children, **attributes)


def visible(text: str) -> str:
    """Return a text with what does not show, or turns its surroundings, written as an escape."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, its cut marked."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def to_text(root: ET.Element) -> str:
    """Return the tree as a document."""
    return "<!doctype html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def _append_text(parent: ET.Element, last: ET.Element | None, text: str) -> None:
    if last is None:
        parent.text = (parent.text or "") + text
    else:
        last.tail = (last.tail or "") + text

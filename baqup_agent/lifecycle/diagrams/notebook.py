"""A lifecycle as a notebook shows it."""

from __future__ import annotations

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.diagrams.svg import svg

_TITLE = "Lifecycle"


def repr_svg(lifecycle: Lifecycle) -> str:
    """Return what ``_repr_svg_`` of a lifecycle is: the picture as SVG."""
    return svg(lifecycle, _TITLE)


def repr_html(lifecycle: Lifecycle) -> str:
    """Return what ``_repr_html_`` of a lifecycle is: the picture, to be scrolled if it is large."""
    return f'<div style="overflow:auto;max-height:48em">{svg(lifecycle, _TITLE)}</div>'

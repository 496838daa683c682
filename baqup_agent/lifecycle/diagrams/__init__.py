"""Pictures of a lifecycle and of its runs, in every format, all derived from the declaration."""

from __future__ import annotations

from baqup_agent.lifecycle.diagrams.dot import GraphvizError, dot, png
from baqup_agent.lifecycle.diagrams.mermaid import mermaid
from baqup_agent.lifecycle.diagrams.notebook import repr_html, repr_svg
from baqup_agent.lifecycle.diagrams.overlay import Overlay, overlay
from baqup_agent.lifecycle.diagrams.svg import TooLargeError, svg
from baqup_agent.lifecycle.diagrams.text import text
from baqup_agent.lifecycle.diagrams.timeline import timeline_svg, timeline_text
from baqup_agent.lifecycle.diagrams.trace import Trace, TraceError, parse_trace, read_trace

__all__ = [
    "GraphvizError",
    "Overlay",
    "TooLargeError",
    "Trace",
    "TraceError",
    "dot",
    "mermaid",
    "overlay",
    "parse_trace",
    "png",
    "read_trace",
    "repr_html",
    "repr_svg",
    "svg",
    "text",
    "timeline_svg",
    "timeline_text",
]

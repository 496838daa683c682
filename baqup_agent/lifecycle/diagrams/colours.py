"""The colours of pictures: dark on light, and told apart by more than hue alone."""

from __future__ import annotations

from baqup_agent.lifecycle.diagrams.overlay import Mark

#: Fonts that one of is everywhere.
FONTS = "Helvetica,Arial,DejaVu Sans,sans-serif"

#: Text and lines.
INK = "#1d2733"

#: Text of lesser weight.
SOFT = "#52606d"

#: Behind everything.
PAPER = "#ffffff"

#: A box's inside.
FILL = {
    Mark.UNTOUCHED: "#f6f8fa",
    Mark.VISITED: "#e3f4ec",
    Mark.CURRENT: "#fff1d6",
    Mark.FAILED: "#fde7e7",
}

#: A box's border.
STROKE = {
    Mark.UNTOUCHED: "#8a96a3",
    Mark.VISITED: "#1f7a54",
    Mark.CURRENT: "#b26a00",
    Mark.FAILED: "#c02626",
}

#: An edge, and its label, in the picture of a run.
EDGE = {
    Mark.UNTOUCHED: "#7b8794",
    Mark.VISITED: "#1f7a54",
    Mark.CURRENT: "#b26a00",
    Mark.FAILED: "#c02626",
}

#: A leaf's inside, a box's border and an edge where no run is shown.
PLAIN, BORDER, LINE = "#f4f8fd", "#4b6584", "#33475b"

#: Insides of refined states, by depth, in turn.
DEPTHS = ("#ffffff", "#eef3f8")

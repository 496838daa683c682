"""The elements of an SVG picture that all pictures here are made of."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from baqup_agent.lifecycle.diagrams.colours import FONTS, PAPER
from baqup_agent.lifecycle.diagrams.folding import Point

#: What is straight for the eye, px.
_STRAIGHT = 0.05

#: Radius of a line's corners, px.
_ROUND = 8.0


def rect(  # noqa: PLR0913  an SVG element's attributes
    x: float,
    y: float,
    w: float,
    h: float,
    r: float,
    fill: str,
    stroke: str,
    width: float,
    *,
    opacity: float = 1.0,
) -> str:
    """A rectangle with rounded corners."""
    more = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}" '
        f'rx="{number(r)}" fill="{fill}"{more} stroke="{stroke}" stroke-width="{width:g}"/>'
    )


def line_of_text(
    x: float,
    y: float,
    told: str,
    size: float,
    colour: str,
    *,
    bold: bool = False,
    anchor: str = "start",
    halo: bool = False,
) -> str:
    """A line of text; ``halo`` keeps it legible over a line."""
    weight = ' font-weight="600"' if bold else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    around = f' stroke="{PAPER}" stroke-width="3" paint-order="stroke"' if halo else ""
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{size:g}" fill="{colour}"{weight}{where}'
        f"{around}>{escape(told)}</text>"
    )


def circle(x: float, y: float, radius: float, fill: str) -> str:
    """A filled circle."""
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" fill="{fill}"/>'


def opening(width: float, height: float, title: str) -> tuple[str, ...]:
    """The first lines of a document: its size, its title for readers, and the paper."""
    wide, high = number(width), number(height)
    extent = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {extent} role="img" font-family="{FONTS}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
    )


def number(value: float) -> str:
    """A number as short as can be, the same on every machine."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def pair(point: Point) -> str:
    """A point as x and y."""
    return f"{number(point[0])} {number(point[1])}"


def path(way: tuple[Point, ...]) -> str:
    """A line through the points: straight, bent where it changes its place across."""
    points = [way[0], *(after for before, after in pairwise(way) if before != after)]
    parts = ["M" + pair(xy(points[0]))]
    for i, (before, after) in enumerate(pairwise(points), 1):
        if before[0] != after[0] and abs(before[1] - after[1]) > _STRAIGHT:
            half = (before[0] + after[0]) / 2
            bends = [(half, before[1]), (half, after[1]), after]
            parts.append("C" + " ".join(pair(xy(point)) for point in bends))
        elif i < len(points) - 1 and _is_corner(before, after, points[i + 1]):
            short, turned = _rounded(before, after, points[i + 1])
            parts.append(f"L{pair(xy(short))}Q{pair(xy(after))} ")
            parts.append(pair(xy(turned)))
        else:
            parts.append("L" + pair(xy(after)))
    return "".join(parts)


def xy(point: Point) -> Point:
    """Along is down the page, across is to the right."""
    return point[1], point[0]


def arrowhead(way: tuple[Point, ...], colour: str) -> str:
    """The tip at a way's end, which always arrives along."""
    tip = way[-1]
    before = next((point for point in reversed(way) if point[0] != tip[0]), tip)
    back = -9.0 if before[0] < tip[0] else 9.0
    corners = [tip, (tip[0] + back, tip[1] - 4.2), (tip[0] + back * 0.72, tip[1])]
    corners.append((tip[0] + back, tip[1] + 4.2))
    return f'<path d="M{"L".join(pair(xy(point)) for point in corners)}z" fill="{colour}"/>'


def _is_corner(before: Point, at: Point, after: Point) -> bool:
    """Whether a line turns by a right angle, as on its way to another column."""
    return (before[0] == at[0]) != (at[0] == after[0])


def _rounded(before: Point, at: Point, after: Point) -> tuple[Point, Point]:
    """The points at which a corner's curve begins and ends."""

    def towards(other: Point) -> Point:
        length = abs(other[0] - at[0]) + abs(other[1] - at[1])
        share = min(_ROUND / length, 0.5) if length else 0.0
        return at[0] + (other[0] - at[0]) * share, at[1] + (other[1] - at[1]) * share

    return towards(before), towards(after)

"""How large a stored lifecycle may be: whatever is larger is refused, and never awaited."""

from __future__ import annotations

#: Bytes of a file or text.
MAX_BYTES = 8 * 1024 * 1024

#: Refined and unrefined states of one lifecycle, the contract's five left out.
MAX_STATES = 10_000

#: Leaves below leaves: levels beneath a phase.
MAX_LEVELS = 16

#: Levels of brackets in a text; no lifecycle within the other limits comes near.
MAX_NESTING = 64

#: Transitions of the whole lifecycle, those included that leaves inherit.
MAX_TRANSITIONS = 100_000

#: States and transitions that all refinements together carry over; bounds the time of building.
MAX_CARRIED = 1_000_000

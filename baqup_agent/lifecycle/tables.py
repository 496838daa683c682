"""A lifecycle as Markdown tables, for the README and the specification."""

from __future__ import annotations

from baqup_agent.lifecycle.declaration import Lifecycle


def states_table(lifecycle: Lifecycle) -> str:
    """Return the states with their limits, as a Markdown table."""
    rows = ["| State | At most | Then | On SIGTERM | What happens |", "|---|---|---|---|---|"]
    for state in lifecycle.states:
        deadline = state.deadline
        limit = f"{deadline}" if deadline else "–"
        then = f"`{deadline.error_code}`, exit {deadline.exit_code}" if deadline else "–"
        rows.append(
            f"| `{state.name}` | {limit} | {then} | {state.on_signal} | {state.description} |"
        )
    return "\n".join(rows) + "\n"


def transitions_table(lifecycle: Lifecycle) -> str:
    """Return every state against every trigger, as a Markdown table; a dot is illegal."""
    triggers = lifecycle.triggers
    rows = [
        f"| State | {' | '.join(f'`{trigger}`' for trigger in triggers)} |",
        "|---" * (len(triggers) + 1) + "|",
    ]
    for state in lifecycle.states:
        targets = [lifecycle.target(state.name, trigger) or "·" for trigger in triggers]
        rows.append(f"| `{state.name}` | {' | '.join(targets)} |")
    return "\n".join(rows) + "\n"

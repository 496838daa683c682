"""Ways to show a run: live on a terminal, as plain lines, as JSON lines."""

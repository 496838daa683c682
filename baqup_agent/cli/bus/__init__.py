"""The commands about a bus: ``baqup-agent bus …``."""

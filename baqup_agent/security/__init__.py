"""Secrets, path boundaries, safe extraction and limits (Contract §7)."""

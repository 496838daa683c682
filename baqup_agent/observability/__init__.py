"""Logs and their redaction (Contract §6)."""

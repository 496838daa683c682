"""Staging: artifacts, their manifest, publication and verification (Contract §4)."""

"""The lifecycle of a job, declared once and compiled to a state machine (Contract §1)."""

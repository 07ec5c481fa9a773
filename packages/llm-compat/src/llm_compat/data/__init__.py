"""Logs of evaluations: read from every format into one table of outcomes, and written back."""

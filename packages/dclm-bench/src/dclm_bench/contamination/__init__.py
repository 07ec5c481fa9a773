"""Evaluation questions in training text: how much of each is there, and pages dropped for it."""

from collections.abc import Mapping

STEPS: Mapping[str, str] = {"contamination_filter": "dclm_bench.contamination.removal:contamination_filter"}
"""Step name -> "module:factory"; the official recipes have no such step."""

"""Benchmarks of dclm-bench, one file a question."""

"""Benchmarks of llm-compat, one file a question."""

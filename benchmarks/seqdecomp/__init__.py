"""Measurements of seqdecomp; each module is a question and runs by `python -m benchmarks.seqdecomp.NAME`."""

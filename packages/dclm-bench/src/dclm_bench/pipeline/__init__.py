"""Recipes over shards of pages, with an audit of every verdict.

`running` runs a recipe over input files; `passes` cuts it at its corpus steps; `shard` works on one shard of
one pass; `audit` keeps the values; `funnel`, `explain` and `what_if` read them.
"""

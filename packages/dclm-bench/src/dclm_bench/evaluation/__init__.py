"""Scores of models: read, recomputed, compared, and measured on task files.

`tasks` holds what is known of the 53 tasks, `aggregates` CORE, EXTENDED and MMLU with standard errors,
`score_file` the leaderboard's JSON, `significance` whether a gap is real, `published` the paper's findings
recomputed from published files; `prompts`, `answers`, `in_context`, `harness` and `causal_lm`
measure a model, and `lm_eval` takes the results of another harness.
"""

"""Evaluation of a causal language model: its losses and answers, and the questions of task files.

Nothing is imported here, for `task_files` and `few_shot` need no torch.
"""

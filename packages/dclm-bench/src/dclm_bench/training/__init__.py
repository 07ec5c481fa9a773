"""Training a model of a scale on tokenised shards with Lightning: the order of the data, and a run's life.

Nothing is imported here, for the help of the command reads `settings` and loads no torch.
"""

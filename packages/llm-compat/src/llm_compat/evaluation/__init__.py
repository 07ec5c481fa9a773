"""Scoring of causal language models: choices by log-likelihood, generation by exact match, ensembles."""

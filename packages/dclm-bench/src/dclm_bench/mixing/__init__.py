"""Mixtures of tokenised datasets."""

"""Stores, tokenizers and input formats: real data to arrays and back."""

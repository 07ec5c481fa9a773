"""Texts as arrays of code points: their words, and hashes of words and n-grams."""

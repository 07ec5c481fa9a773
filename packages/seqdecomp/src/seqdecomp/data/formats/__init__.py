"""Readers and writers of the formats that token and text corpora come in."""

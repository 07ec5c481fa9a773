"""Causal language models of transformers under PEFT adapters, two of them on one base."""

"""Generated image-text pairs in the real formats; the readers of real data are `toolkit_shared.pairs`."""

"""Image and text encoders, their folding, and the weights that they load: plain modules without a trainer."""

"""Training on pairs, on pairs with a store of reinforcements, or with teachers that run along.

Nothing is imported here, for the command's help loads no torch.
"""

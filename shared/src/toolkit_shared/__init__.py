"""What the toolkits have in common; each room is imported by its own name, so that none costs another."""

__version__ = "0.1.0"

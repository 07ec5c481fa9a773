"""Configuration dataclasses of the commands; standard library only."""

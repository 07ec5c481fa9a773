"""The paper's ladder at small scale: which step of the recipe makes the same number of bytes worth more."""

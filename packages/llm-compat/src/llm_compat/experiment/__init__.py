"""The paper's claim at small scale: arms, paired seeds, and what they say."""

"""The paper's claims at small scale: what each part of reinforced training is worth, over paired seeds."""

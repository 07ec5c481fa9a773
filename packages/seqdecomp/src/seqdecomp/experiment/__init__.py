"""The paper's claims at a small scale, on text that every machine has: arms, paired seeds, verdicts.

All arms of a seed start from the same weights, see the same documents and the same number of tokens in every
step, under the same learning rates; they differ in how the documents become sequences and in which order the
sequences come. `configuration` names the arms, `documents` chooses the text, `runs` trains and measures one
arm, `claims` runs them all and resumes, `questions` names what has to hold.
"""

"""Evaluation of a causal language model: losses of documents, in-context tasks, long-context questions."""

from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.evaluation.causal_lm import CausalLM, TransformersLM
from seqdecomp.evaluation.evaluate import evaluate_model
from seqdecomp.evaluation.perplexity import PerplexityResult, StoreDocuments, evaluate_perplexity
from seqdecomp.evaluation.scoring import Scorer, TokenScores
from seqdecomp.evaluation.suite import Suite
from seqdecomp.evaluation.summary import RegularSummary, summarize_regular

__all__ = [
    "Accuracy",
    "CausalLM",
    "PerplexityResult",
    "RegularSummary",
    "Scorer",
    "StoreDocuments",
    "Suite",
    "TokenScores",
    "TransformersLM",
    "evaluate_model",
    "evaluate_perplexity",
    "summarize_regular",
]

"""Evaluation of a causal language model: losses of documents, in-context tasks, long-context questions."""

from toolkit_shared.evaluation.model_folder import TransformersLM
from toolkit_shared.evaluation.scorer import CausalLM, Scorer, TokenScores

from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.evaluation.evaluate import evaluate_model
from seqdecomp.evaluation.perplexity import PerplexityResult, StoreDocuments, evaluate_perplexity
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

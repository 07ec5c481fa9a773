"""Scores computed anew, under the name of the method room; the readers, in a lower room, use the same."""

from llm_compat.data.rescoring import flexible_number, same_number, strict_number, target_number

__all__ = ["flexible_number", "same_number", "strict_number", "target_number"]

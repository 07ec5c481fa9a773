"""DataComp-LM: extraction, filtering, deduplication, ranking, tokenisation, training scales and scores."""

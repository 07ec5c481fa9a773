"""Scores that models give to pages, and the cuts that are made at them."""

STEPS = {
    "classify_fasttext_hq_prob_enricher": "dclm_bench.quality.fasttext_hq:classify_fasttext_hq_prob_enricher",
    "quality_filter": "dclm_bench.quality.cut:quality_filter",
    "quality_fraction_filter": "dclm_bench.quality.fraction_cut:quality_fraction_filter",
    "kenlm_perplexity_enricher": "dclm_bench.quality.ngram_perplexity:kenlm_perplexity_enricher",
    "ken_lm_perplexity_enricher": "dclm_bench.quality.ngram_perplexity:kenlm_perplexity_enricher",  # official
    "perplexity_enricher": "dclm_bench.quality.language_model:perplexity_enricher",
    "top_k_logit_enricher": "dclm_bench.quality.language_model:top_k_logit_enricher",
    "ask_llm_enricher": "dclm_bench.quality.ask_llm:ask_llm_enricher",
    "embedding_classifier_enricher": "dclm_bench.quality.embeddings:embedding_classifier_enricher",
    "semantic_dedup": "dclm_bench.quality.semantic_dedup:semantic_dedup",
    "pagerank_filter": "dclm_bench.quality.pagerank:pagerank_filter",
}

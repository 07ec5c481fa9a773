"""Pages, paragraphs and spans of text that were there before, found over the whole corpus."""

STEPS = {
    "bff_dedup": "dclm_bench.dedup.bff_step:bff_dedup",
    "minhash_dedup": "dclm_bench.dedup.minhash_step:minhash_dedup",
    "exact_dedup": "dclm_bench.dedup.exact:exact_dedup",
    "url_dedup": "dclm_bench.dedup.exact:url_dedup",
    "suffix_dedup": "dclm_bench.dedup.suffix_step:suffix_dedup",
}

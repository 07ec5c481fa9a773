"""Heuristic filters, edits and rules on addresses, with the verdicts of the official pipeline."""

from typing import Final

STEPS: Final = {
    "alphabetic_word_ratio_filter": "dclm_bench.heuristics.ratios:alphabetic_word_ratio_filter",
    "alphanumeric_char_ratio_filter": "dclm_bench.heuristics.ratios:alphanumeric_char_ratio_filter",
    "arxiv_appendix_modifier": "dclm_bench.heuristics.latex:arxiv_appendix_modifier",
    "arxiv_comment_modifier": "dclm_bench.heuristics.latex:arxiv_comment_modifier",
    "arxiv_macro_modifier": "dclm_bench.heuristics.latex:arxiv_macro_modifier",
    "arxiv_section_strip_modifier": "dclm_bench.heuristics.latex:arxiv_section_strip_modifier",
    "bullet_count_filter": "dclm_bench.heuristics.ratios:bullet_count_filter",
    "citation_removal_modifier": "dclm_bench.heuristics.text_edits:citation_removal_modifier",
    "counter_line_modifier": "dclm_bench.heuristics.line_edits:counter_line_modifier",
    "ellipsis_count_filter": "dclm_bench.heuristics.ratios:ellipsis_count_filter",
    "github_extension_filter": "dclm_bench.heuristics.records:github_extension_filter",
    "key_name_modifier": "dclm_bench.heuristics.records:key_name_modifier",
    "line_counter_enricher": "dclm_bench.heuristics.word_counts:line_counter_enricher",
    "line_dedup": "dclm_bench.heuristics.line_dedup:line_dedup",
    "line_length_filter": "dclm_bench.heuristics.lengths:line_length_filter",
    "line_length_modifier": "dclm_bench.heuristics.line_edits:line_length_modifier",
    "move_url_modifier": "dclm_bench.heuristics.url_rules:move_url_modifier",
    "newline_removal_modifier": "dclm_bench.heuristics.text_edits:newline_removal_modifier",
    "numeric_ratio_line_modifier": "dclm_bench.heuristics.line_edits:numeric_ratio_line_modifier",
    "page_length_filter": "dclm_bench.heuristics.lengths:page_length_filter",
    "punctuation_line_modifier": "dclm_bench.heuristics.line_edits:punctuation_line_modifier",
    "random_sampling_filter": "dclm_bench.heuristics.records:random_sampling_filter",
    "stackexchange_answer_sort_modifier": "dclm_bench.heuristics.composed:stackexchange_answer_sort_modifier",
    "stackexchange_list_modifier": "dclm_bench.heuristics.composed:stackexchange_list_modifier",
    "stackexchange_qa_formatter": "dclm_bench.heuristics.composed:stackexchange_qa_formatter",
    "starcoder_v2_format_modifier": "dclm_bench.heuristics.composed:starcoder_v2_format_modifier",
    "stop_word_filter": "dclm_bench.heuristics.ratios:stop_word_filter",
    "substring_filter": "dclm_bench.heuristics.substrings:substring_filter",
    "substring_line_modifier": "dclm_bench.heuristics.substrings:substring_line_modifier",
    "symbol_ratio_filter": "dclm_bench.heuristics.ratios:symbol_ratio_filter",
    "uppercase_ratio_line_modifier": "dclm_bench.heuristics.line_edits:uppercase_ratio_line_modifier",
    "url_removal_modifier": "dclm_bench.heuristics.url_removal:url_removal_modifier",
    "url_substring_filter": "dclm_bench.heuristics.url_rules:url_substring_filter",
    "within_page_dedup": "dclm_bench.heuristics.text_edits:within_page_dedup",
    "word_counter_enricher": "dclm_bench.heuristics.word_counts:word_counter_enricher",
    "word_length_filter": "dclm_bench.heuristics.lengths:word_length_filter",
    "word_length_modifier": "dclm_bench.heuristics.line_edits:word_length_modifier",
    "word_removal_ratio_filter": "dclm_bench.heuristics.word_counts:word_removal_ratio_filter",
}

COMPAT: Final = (
    (
        "url_removal_modifier",
        "addresses go only from texts that begin with a top-level domain",
        "from all texts",
    ),
    (
        "substring_line_modifier",
        "phrases are regular expressions: `Read more...` eats `Read moreXYZ`",
        "letters",
    ),
    ("substring_filter", "the same; `exact_word` misses phrases that begin or end with a sign", "finds them"),
    (
        "url_substring_filter",
        "each `www` of a domain goes, its dot stays: `.a.com` is not `a.com`",
        "compares hosts",
    ),
    ("arxiv_macro_modifier", "a page with a macro that is not ASCII is lost", "writes it out"),
    ("arxiv_section_strip_modifier", "a paragraph counts only directly before a subparagraph", "both count"),
)
"""What differs by compat: step, "official" (and "datatrove", which adds nothing here), "fixed"."""

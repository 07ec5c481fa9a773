"""The repetition rules: how much of a page is lines, paragraphs and n-grams that it says more than once."""

STEPS = {
    "massive_web_repetition_filters": "dclm_bench.repetition.steps:massive_web_repetition_filters",
    "repetition_filter": "dclm_bench.repetition.steps:repetition_filter",
}

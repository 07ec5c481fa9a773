"""Language identification: fastText models, langdetect's method, and a small identifier that is built in."""

from dclm_bench.steps.step import StepTable

STEPS: StepTable = {
    "detect_lang_whole_page_enricher": "dclm_bench.language.steps:detect_lang_whole_page_enricher",
    "language_filter": "dclm_bench.language.steps:language_filter",
}

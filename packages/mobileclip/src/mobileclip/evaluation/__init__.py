"""Zero-shot classification, retrieval, and the average over DataComp's 38 tasks."""

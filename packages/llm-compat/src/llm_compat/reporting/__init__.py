"""A comparison for readers: tables for the terminal and Markdown, an offline page, JUnit for a pipeline."""

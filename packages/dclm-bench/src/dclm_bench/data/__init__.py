"""Real formats to pages and back, and generated crawls with a known truth."""

"""Reinforced data: what teachers and a captioner said of each image-text pair, stored once and read often."""

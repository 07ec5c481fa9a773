"""Training a compatibility adapter: batches, teachers, a plain loop, and Lightning around the same parts."""

"""What a recipe is made of: steps on one page, and steps on the whole corpus."""

"""What a recipe may say: groups of settings, and the rules between them."""

"""Settings of recipes: groups, and rules between settings."""

"""The fit loop over stages, and what it needs."""

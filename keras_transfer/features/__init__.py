"""The feature engine: the frozen part of a network runs once, as fast as the machine can."""

"""Workflows: settings and run of each."""

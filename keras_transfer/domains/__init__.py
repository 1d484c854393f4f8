"""Scores of data and features across domains: arrays in, numbers out."""

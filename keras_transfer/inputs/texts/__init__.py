"""Texts: characters, words, WordPiece tokens and their vocabularies."""

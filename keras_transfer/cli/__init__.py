"""The command ``kt-recipe``: thin, it parses, calls and prints."""

from keras_transfer.cli.main import main

__all__ = ["main"]

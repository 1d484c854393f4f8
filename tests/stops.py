"""Interrupts a run at a line of its log."""

import logging

__all__ = ["Stop"]


class Stop(logging.Handler):
    """Interrupts when a line begins with these words, as Ctrl-C does."""

    def __init__(self, words):
        super().__init__(logging.INFO)
        self.words = words

    def emit(self, record):
        if record.getMessage().startswith(self.words):
            raise KeyboardInterrupt

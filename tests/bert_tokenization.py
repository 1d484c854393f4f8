"""BERT's tokenisation step by step in plain Python, as google-research/bert describes it.

Written from the rules, one character after the other, to compare our graph with.
"""

import unicodedata


def tokens(text, vocabulary, *, lowercase=True, most=100):
    """Pieces of a text in a set of tokens."""
    return [piece for word in words(text, lowercase) for piece in pieces(word, vocabulary, most)]


def words(text, lowercase=True):
    if isinstance(text, bytes):
        text = text.decode("utf-8", "ignore")
    text = "".join(f" {c} " if is_ideograph(c) else c for c in clean(text))
    found = []
    for word in text.strip().split():
        if lowercase:
            word = unicodedata.normalize("NFD", word.lower())
            word = "".join(c for c in word if unicodedata.category(c) != "Mn")
        found += split_at_punctuation(word)
    return " ".join(found).split()


def clean(text):
    for c in text:
        if ord(c) in (0, 0xFFFD) or is_control(c):
            continue
        yield " " if is_whitespace(c) else c


def is_whitespace(c):
    return c in " \t\n\r" or unicodedata.category(c) == "Zs"


def is_control(c):
    return c not in "\t\n\r" and unicodedata.category(c) in ("Cc", "Cf")


def is_punctuation(c):
    ascii_ranges = ((33, 47), (58, 64), (91, 96), (123, 126))
    inside = any(low <= ord(c) <= high for low, high in ascii_ranges)
    return inside or unicodedata.category(c).startswith("P")


def is_ideograph(c):
    ranges = (
        (0x4E00, 0x9FFF),
        (0x3400, 0x4DBF),
        (0x20000, 0x2A6DF),
        (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F),
        (0x2B820, 0x2CEAF),
        (0xF900, 0xFAFF),
        (0x2F800, 0x2FA1F),
    )
    return any(low <= ord(c) <= high for low, high in ranges)


def split_at_punctuation(word):
    found, new = [], True
    for c in word:
        if is_punctuation(c):
            found.append(c)
            new = True
        elif new:
            found.append(c)
            new = False
        else:
            found[-1] += c
    return found


def pieces(word, vocabulary, most=100):
    if len(word) > most:
        return ["[UNK]"]
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                found.append(piece)
                start = end
                break
        else:
            return ["[UNK]"]
    return found

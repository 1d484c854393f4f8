"""What happens to files: a generator of damages, by name."""

import json
import zlib

__all__ = ["DAMAGES"]


def flipped(content, share):
    """Flip one bit, at this share of the file's length."""
    place = int(share * (len(content) - 1))
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def reordered(content):
    """The same lines, or items of a JSON list, the other way round."""
    try:
        document = json.loads(content)
    except ValueError:
        return b"".join(reversed(content.splitlines(keepends=True)))
    if isinstance(document, list):
        return json.dumps(document[::-1]).encode()
    return json.dumps({name: [document[name]] for name in document}).encode()


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "one byte less": lambda content: content[:-2],
    "zeros": lambda content: bytes(len(content)),
    "zeros at the end": lambda content: content[: len(content) // 2].ljust(len(content), b"\0"),
    **{
        f"bit flipped at {share:.0%}": lambda content, share=share: flipped(content, share)
        for share in (0.05, 0.3, 0.5, 0.7, 0.95)
    },
    "not UTF-8": lambda content: content[:40] + b"\xff\xfe" + content[40:],
    "reordered": reordered,
    "nested": lambda content: b"[" * 100_000,
    "another type": lambda content: b"17\n",
    "noise": lambda content: zlib.compress(content)[: len(content)],
}
"""Functions from the bytes of a file to damaged ones."""

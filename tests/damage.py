"""What disks and people do to files."""

__all__ = ["DAMAGES"]


def _flipped(content):
    """One bit of the byte in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "truncated": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "zeroed": lambda content: bytes(len(content)),
    "zeroed from the middle": lambda content: content[: len(content) // 2].ljust(
        len(content), b"\0"
    ),
    "one bit": _flipped,
    "longer": lambda content: content + bytes(64),
    "ones": lambda content: b"\xff" * len(content),
    "another format": lambda content: b'["not", "what", "was", "written"]\n',
    "deep JSON": lambda content: 100_000 * b"[",
}
"""From the content of a file to that of the damaged file, by name."""

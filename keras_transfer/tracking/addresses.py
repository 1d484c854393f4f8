"""Addresses and messages of trackers without the secrets that they may hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

__all__ = ["MASK", "MLFLOW_URI", "without_secrets", "without_user"]

MASK = "***"
MLFLOW_URI = "MLFLOW_TRACKING_URI"
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WANDB_API_KEY")
"""Variables whose value is in no message."""

# SQLAlchemy takes passwords that hold "/", "?" and "#", and so does this. No user can be named
# before a path, such as that of an SQLite file.
USER = re.compile(r"^([^:/?#]+://)(?!/)(.*)@", re.DOTALL)
QUERY = re.compile(r"\?.*", re.DOTALL)
ANY_USER = re.compile(r"//[^/\s]*@")
NAMED = re.compile(r"(?i)\b(password|passwd|pwd|token|secret|api_?key)(=|%3d)([^\s;&'\"]+)")


def without_user(uri: str) -> str:
    """An address for files and logs: neither user, password nor query, which may hold both.

    It has ``MASK`` in it where something is left out: nobody can connect by it.
    """
    return QUERY.sub(f"?{MASK}", USER.sub(rf"\1{MASK}@", uri))


def without_secrets(message: str) -> str:
    """What a tracker says, for logs: it may quote the address, or parts of it."""
    for secret in sorted({*_secrets()}, key=len, reverse=True):
        message = message.replace(secret, MASK)
    message = ANY_USER.sub(f"//{MASK}@", message)
    return NAMED.sub(rf"\1\2{MASK}", message)


def _secrets() -> Iterator[str]:
    """Texts of the environment that are masked."""
    yield from filter(None, map(os.environ.get, SECRETS))
    uri = os.environ.get(MLFLOW_URI, "")
    if found := USER.match(uri):
        user, colon, password = found[2].partition(":")
        if colon:
            yield found[2]
            yield from _forms(password)
        elif len(user) > 7:  # a token; a short name would mask half of the message
            yield user
    if found := QUERY.search(USER.sub("", uri)):
        query = found[0][1:]
        yield from filter(None, (query, unquote(query)))
        for named in NAMED.findall(unquote(query)):
            yield from _forms(named[-1])


def _forms(password: str) -> Iterator[str]:
    """A password, and the parts that a parser of addresses would quote of it."""
    pieces = (password, unquote(password), *re.split(r"[/?#@:]", password))
    yield from (piece for piece in pieces if len(piece) > 1)

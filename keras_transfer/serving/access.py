"""Who may ask: the token, the host that a request names, and the page that it comes from.

A web page can send requests to 127.0.0.1 from the browser of anybody who opens it. The checks of
``Host`` (against DNS rebinding), ``Origin`` and ``Content-Type`` keep such requests out.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.messages import echo, shown

__all__ = ["Access", "Hosts", "check_token"]

OPEN = {"/", "/healthz", "/page/index.html", "/page/page.css", "/page/page.js"}
"""Paths that need no token: they hold nothing of the model or its examples."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
UNSPECIFIED = ("", "0.0.0.0", "::")  # compared with, not listened at


@dataclass(frozen=True)
class Hosts:
    """Names that a request may call the server by.

    Attributes:
        bound: The address that the server listens at. If it means all addresses of the machine,
            any IP address is allowed too: DNS rebinding needs a name.
        allowed: Further names; "*" allows all.
    """

    bound: str = "127.0.0.1"
    allowed: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether a host of a ``Host`` header is one of them."""
        if "*" in self.allowed or name in (*LOOPBACK, self.bound.lower()):
            return True
        return self.takes_origin(name) or (self.bound in UNSPECIFIED and _is_address(name))

    def takes_origin(self, name: str) -> bool:
        """Whether pages of a host may post requests, though they come from elsewhere."""
        return name in {one.lower() for one in self.allowed}


def check_token(given: str | bytes, token: str) -> None:
    """Check what an ``authorization`` header says.

    Raises:
        RequestError: It should say ``Bearer`` and the token, and does not.
    """
    # Takes equally long whatever differs, so that a token cannot be guessed letter by letter.
    content = given if isinstance(given, bytes) else given.encode("utf-8", "replace")
    if token and not hmac.compare_digest(content, f"Bearer {token}".encode()):
        raise RequestError(
            "UNAUTHENTICATED", "A bearer token is wanted: Authorization: Bearer TOKEN"
        )


class Access:
    """Refuses requests that may not ask.

    Args:
        app: The application.
        token: What ``Authorization: Bearer`` must say; "" for no such demand.
        hosts: Names that a request may call the server by; None for any.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Hosts | None):
        self.app, self.token, self.hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and hand it on."""
        if scope["type"] == "http":
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.getlist("host")
        if self.hosts is not None:
            _check_hosts(host, self.hosts)
        if scope["path"] not in OPEN:
            check_token(_raw(scope, b"authorization"), self.token)
        if scope["method"] == "POST":
            _check_origin(headers.getlist("origin"), host, self.hosts or Hosts())
            _check_content(headers)


def _raw(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _check_hosts(given: list[str], hosts: Hosts) -> None:
    # A browser always names a host; what does not, such as a health check on HTTP/1.0, is none.
    names = [_name(one) for one in given if one]
    if len(given) > 1 or not all(map(hosts.takes, names)):
        raise RequestError(
            "PERMISSION_DENIED",
            f"The host {shown(', '.join(given))} is not one that this server answers for; "
            "allow it by --allow-host NAME",
        )


def _check_origin(origins: Iterable[str], host: list[str], hosts: Hosts) -> None:
    for origin in origins:
        _, _, place = origin.partition("://")
        same = bool(place) and [place.lower()] == [one.lower() for one in host]
        if not same and not hosts.takes_origin(_name(place)):
            raise RequestError(
                "PERMISSION_DENIED",
                f"Pages of {shown(origin)} may not post requests to this server; "
                "allow them by --allow-host NAME",
            )


def _check_content(headers: Headers) -> None:
    kind = headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(
            "INVALID_ARGUMENT",
            "The request needs the header Content-Type: application/json; "
            f"got {echo(kind) or 'none'}",
        )
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Content-Encoding {shown(encoding)} is not supported; send the request as it is",
        )


def _name(place: str) -> str:
    """The host of ``host:port``, with IPv6 addresses in brackets."""
    if place.startswith("["):
        return place[1:].partition("]")[0].lower()
    return place.partition(":")[0].rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

"""The boundary of REST and gRPC: every exception of a request becomes a status and a text of ours.

What a client can mend is a ``RequestError`` and comes with its own text. Anything else is a fault
of the server: the log has its traceback, and the client a fixed text.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keras_transfer.serving.errors import HTTP, RequestError

__all__ = ["Boundary", "json_response", "not_found", "refusal"]

logger = logging.getLogger("keras_transfer")


def refusal(error: Exception) -> RequestError:
    """What a client is told of an exception; what is no refusal is logged with its traceback."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, MemoryError):
        return RequestError("UNAVAILABLE", "Not enough memory for this request now")
    logger.error("A request failed", exc_info=error)
    return RequestError("INTERNAL", "The server failed at this request; its log says why")


def json_response(document: Any, status: int = 200) -> Response:
    """A document as JSON."""
    text = json.dumps(document, ensure_ascii=False)
    return Response(text, status_code=status, media_type="application/json")


def _refused(error: RequestError) -> Response:
    return json_response({"error": str(error)}, HTTP[error.code])


def not_found(request: Request, error: Exception) -> Response:
    """Answer a path or a method that no route has."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    text = "Method Not Allowed" if status == 405 else "Not Found"
    return json_response({"error": text}, status)


class Boundary:
    """Answers for an application whatever it raises.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            refused = refusal(error)
            if begun:  # too late for a status: the server closes the connection
                raise
            await _refused(refused)(scope, receive, send)

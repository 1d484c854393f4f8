"""Why a request is not answered, in the codes that REST and gRPC share."""

from __future__ import annotations

from keras_transfer.serving.messages import bounded

__all__ = ["HTTP", "RequestError"]

HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 413,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}
"""HTTP status by gRPC code, as TensorFlow Serving maps them."""


class RequestError(Exception):
    """A request that is not answered.

    Args:
        code: A key of ``HTTP``.
        message: Why, for the client; cut off if it is very long.
    """

    def __init__(self, code: str, message: str):
        super().__init__(bounded(message))
        self.code = code

"""The boundary of gRPC: who may ask, what fits, and a status of ours for every exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from keras_transfer.serving.access import check_token
from keras_transfer.serving.admission import RequestContext
from keras_transfer.serving.boundary import refusal
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.service import Service

__all__ = ["GrpcBoundary"]

_COSTLY = {
    f"/tensorflow.serving.PredictionService/{name}"
    for name in ("Predict", "Classify", "Regress", "MultiInference")
}


class GrpcBoundary(grpc.ServerInterceptor):
    """Refuses before a message is read; otherwise reads it, and answers whatever happens.

    Args:
        service: Whose limits count.
        token: What the metadata ``authorization`` must say after "Bearer "; "" for none.
    """

    def __init__(self, service: Service, token: str):
        self.service, self.token = service, token

    def intercept_service(
        self, continuation: Callable[..., Any], handler_call_details: Any
    ) -> grpc.RpcMethodHandler | None:
        """Give the method that answers."""
        try:
            metadata = dict(handler_call_details.invocation_metadata)
            check_token(metadata.get("authorization", ""), self.token)
        except RequestError as error:
            return _refusing(error)
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        if handler_call_details.method in _COSTLY:
            try:
                self.service.check_room()
            except RequestError as error:
                return _refusing(error)
        return self._bounded(handler)

    def _bounded(self, handler: Any) -> grpc.RpcMethodHandler:
        def answer(message: bytes, context: grpc.ServicerContext) -> bytes:
            size = len(message)
            if not self.service.bodies.take(size):
                raise RequestError("UNAVAILABLE", "Too many requests are waiting; try again later")
            try:
                with RequestContext(self.service.limits.seconds).entered() as current:
                    context.add_callback(current.leave)
                    found = handler.unary_unary(_parsed(handler, message), context)
                    return handler.response_serializer(found)
            finally:
                self.service.bodies.give(size)

        def behavior(message: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return answer(message, context)
            except NotImplementedError:  # of the methods that the service does not have
                return context.abort(grpc.StatusCode.UNIMPLEMENTED, "There is no such method here")
            except Exception as error:
                if context.code() is not None:  # the method has ended it by itself
                    raise
                return _abort(context, refusal(error))

        # No serializers: gRPC would say "Exception deserializing request!" of broken messages.
        return grpc.unary_unary_rpc_method_handler(behavior)


def _parsed(handler: Any, message: bytes) -> Any:
    try:
        return handler.request_deserializer(message)
    except Exception:  # protobuf's own, which differ by its implementation
        raise RequestError(
            "INVALID_ARGUMENT", "The message cannot be read as a request of this method"
        ) from None


def _refusing(error: RequestError) -> grpc.RpcMethodHandler:
    """Ends a call without asking for its message: that of a stream comes only when it is asked."""
    return grpc.stream_unary_rpc_method_handler(lambda messages, context: _abort(context, error))


def _abort(context: grpc.ServicerContext, error: RequestError) -> Any:
    context.abort(grpc.StatusCode[error.code], str(error))

"""Bodies of requests, whose bytes are bounded one by one and in sum."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from keras_transfer.serving.admission import Budget
from keras_transfer.serving.errors import RequestError

__all__ = ["HeldBody"]


class HeldBody:
    """The part of the budget of bodies that a request holds."""

    def __init__(self, budget: Budget):
        self.budget, self.amount = budget, 0

    async def read(self, request: Request, most: int) -> bytes:
        """Read a body; refused before it is read where the header says that it is too long.

        Raises:
            RequestError: It has more bytes than a body may have, or than are left for all.
        """
        given = request.headers.get("content-length", "0")
        said = int(given[:20]) if given.isdecimal() else 0
        content = bytearray()
        if said <= most:
            # Judged by its full length at once, held as it comes: who is slow holds little.
            if not self.budget.fits(said):
                raise self._full()
            try:
                async for chunk in request.stream():
                    content += chunk
                    if len(content) > most:
                        break
                    self._take(len(chunk), max(said, len(content)))
                else:
                    return bytes(content)
            except ClientDisconnect:
                raise RequestError("CANCELLED", "The client is gone") from None
        raise RequestError("RESOURCE_EXHAUSTED", f"The request has more than {most:,} bytes")

    def _take(self, amount: int, whole: int) -> None:
        if not self.budget.take(amount, whole):
            raise self._full()
        self.amount += amount

    def _full(self) -> RequestError:
        return RequestError(
            "UNAVAILABLE",
            f"Requests of {self.budget.held:,} bytes are being answered, of at most "
            f"{self.budget.limit:,} (--max-bodies); try again later",
        )

    def release(self) -> None:
        """Give all of it back."""
        self.budget.give(self.amount)
        self.amount = 0

"""Counts and latencies for Prometheus, under TensorFlow Serving's names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from keras_transfer.serving.errors import RequestError

__all__ = ["Metrics"]

MICROSECONDS = [10.0 * 1.8**power for power in range(26)]


class Metrics:
    """What has been asked, how it ended, and how long it took.

    Args:
        model: The name that requests are counted under which name no model of this server.
    """

    def __init__(self, model: str = ""):
        # A registry of its own: a second server in the process would clash with names in the global
        # one.
        self.model, self.registry = model, CollectorRegistry()
        self._counts = Counter(
            ":tensorflow:serving:request_count",
            "Requests by how they ended.",
            ["model_name", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from the request to its answer.",
            ["model_name", "API", "entrypoint"],
            buckets=MICROSECONDS,
            registry=self.registry,
        )
        self._waiting = Gauge(
            ":tensorflow:serving:batching_session:queue_size",
            "Images that wait for their batch.",
            registry=self.registry,
        )

    def watch_queue(self, waiting: Callable[[], float]) -> None:
        """Ask for the length of the queue whenever the metrics are asked for."""
        self._waiting.set_function(waiting)

    @contextmanager
    def request(self, api: str, entrypoint: str, model: str = "") -> Iterator[None]:
        """Count what happens inside as one request.

        Args:
            api: "Predict", "Classify" or such.
            entrypoint: "REST" or "GRPC".
            model: Its name.
        """
        model = model or self.model
        # Counted in `finally`, so that failed requests appear too.
        began, status = time.perf_counter(), "OK"
        try:
            yield
        except RequestError as error:
            status = error.code
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            self._counts.labels(model, status).inc()
            seconds = time.perf_counter() - began
            self._seconds.labels(model, api, entrypoint).observe(1e6 * seconds)

    def page(self) -> bytes:
        """All of it in Prometheus's text format."""
        page = generate_latest(self.registry)  # its counters end in _total, TF Serving's do not
        return page.replace(b":request_count_total", b":request_count")

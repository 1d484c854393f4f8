"""A server in this process, on the export of a small run."""

from types import SimpleNamespace

import pytest

from keras_transfer.serving.batching import Batcher
from keras_transfer.serving.metrics import Metrics
from keras_transfer.serving.service import Limits, Service
from keras_transfer.serving.versions import Versions


@pytest.fixture(scope="session")
def make_service():
    """A function that serves a folder of versions."""
    batchers = []

    def make(base, limits=None, name="colours", **queue):
        versions = Versions(base, name)
        versions.look()
        batcher = Batcher(**queue)
        batchers.append(batcher)
        return Service(versions, batcher, limits or Limits(), Metrics(name))

    yield make
    for batcher in batchers:
        batcher.close()


@pytest.fixture(scope="session")
def service(make_service, saved):
    """Small limits, so that tests can pass them: 300 kB, 200,000 pixels."""
    return make_service(saved.folder.parent, Limits(body=300_000, pixels=200_000, seconds=20.0))


@pytest.fixture(scope="session")
def images(odd, run):
    """Bytes of images, and the probabilities that the run gives them."""
    wanted = run.predict(odd)
    return SimpleNamespace(
        contents=[path.read_bytes() for path in odd],
        wanted=[one.probabilities for one in wanted],
        labels=[one.label for one in wanted],
    )

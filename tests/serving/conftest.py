"""A server in this process, on the export of a small run; a browser of the width of a phone."""

import shutil
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import uvicorn

from keras_transfer.serving.batching import Batcher
from keras_transfer.serving.metrics import Metrics
from keras_transfer.serving.model_config import ModelConfig
from keras_transfer.serving.rest import build_app
from keras_transfer.serving.served_models import ServedModels
from keras_transfer.serving.service import Limits, Service


@pytest.fixture(scope="session")
def make_service():
    """A function that serves a folder of versions."""
    batchers = []

    def make(base, limits=None, name="colours", **queue):
        versions = ServedModels([ModelConfig(name, base)])
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


WIDTH = 360
"""Of the browser, in CSS pixels."""


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium, if it is installed."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not on this machine")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    phone = {"width": WIDTH, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def at_address():
    """A context in which a service answers at an address; its arguments are those of the app."""

    @contextmanager
    def at_address(service, http="auto", **options):
        app = build_app(service, **options)
        server = uvicorn.Server(
            uvicorn.Config(app, port=0, lifespan="off", log_level="error", http=http)
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        server.should_exit = True
        thread.join()

    return at_address

"""Start everything, say where it is, and end it when asked to."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import warnings
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.exports.versions import checked_name
from keras_transfer.serving.access import Hosts
from keras_transfer.serving.batching import Batcher
from keras_transfer.serving.connections import HttpConnection
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.grpc_api import build_grpc
from keras_transfer.serving.metrics import Metrics
from keras_transfer.serving.model_config import ModelConfig, Policy, read_config
from keras_transfer.serving.models import Model
from keras_transfer.serving.rest import build_app
from keras_transfer.serving.served_models import ServedModels
from keras_transfer.serving.service import Limits, Service
from keras_transfer.serving.versions import locate

__all__ = ["Settings", "serve"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        host: Address to listen at.
        port: For REST; 0 for a free one.
        grpc_port: For gRPC; 0 for a free one, None for none.
        name: Of the model; its folder's if "".
        config: File that names several models, instead of an export.
        max_batch: Most examples that are answered together.
        max_wait: Seconds that a request waits for others.
        max_queue: Examples that may wait.
        limits: What a request may cost.
        token: Bearer token that requests must carry; "" for none.
        poll: Seconds between looks for a new version.
        examples: Folder of images for the page.
        allow_host: Names that requests may call the server by, besides ``host`` and loopback.
        engine: "tensorflow", "openvino", or "auto": OpenVINO where it pays.
        trust: Serve models that have operators which no export of this package has.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = 8500
    name: str = ""
    config: Path | None = None
    max_batch: int = 32
    max_wait: float = 0.0
    max_queue: int = 256
    limits: Limits = field(default_factory=Limits)
    token: str = ""
    poll: float = 2.0
    examples: Path | None = None
    allow_host: tuple[str, ...] = ()
    engine: str = "auto"
    trust: bool = False


def serve(export: Path | None, settings: Settings) -> None:
    """Serve an export until SIGINT or SIGTERM; what was begun is answered first.

    Args:
        export: ``DIR/<model>``, or ``DIR/<model>/<version>``; None with ``settings.config``.
        settings: How.

    Raises:
        BadConfiguration: There is nothing to serve, or a port is taken.
        BadData: No version of any model can be loaded.
    """
    # The service has a limit of its own, and Python remembers each warning's text for ever.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    # A fifth of Python's own: a thread that reads a large document hands on to the others sooner.
    sys.setswitchinterval(0.001)
    configs = _configs(export, settings)
    models = ServedModels(configs, partial(_loader(settings.engine), trust=settings.trust))
    models.look()
    if not models.ready:
        wanted = ", ".join(f"{one.name} in {one.base}" for one in configs)
        raise BadData(f"No version of {wanted} can be served; see above.")
    metrics = Metrics(configs[0].name if len(configs) == 1 else "")
    batcher = Batcher(settings.max_batch, settings.max_wait, settings.max_queue)
    metrics.watch_queue(lambda: batcher.waiting)
    service = Service(models, batcher, settings.limits, metrics)
    models.watch(settings.poll)
    if settings.config is not None:
        _reload_on_signal(models, settings.config)
    try:
        _listen(service, settings)
    finally:
        # Versions first, so that nothing is loaded while the last requests are answered.
        models.close()
        batcher.close()
        service.workers.close()


def _configs(export: Path | None, settings: Settings) -> tuple[ModelConfig, ...]:
    if settings.config is not None:
        return read_config(settings.config)
    if export is None:
        raise BadConfiguration("There is nothing to serve: name an export, or a file of models.")
    base, only = locate(export)
    name = checked_name(settings.name or base.name)
    policy = Policy() if only is None else Policy(specific=(only,))
    return (ModelConfig(name, base, policy),)


def _reload_on_signal(models: ServedModels, file: Path) -> None:
    """Read the file again at each SIGHUP; what is wrong with it is said, and changes nothing."""

    def reload() -> None:
        try:
            models.reload(read_config(file))
        except (BadConfiguration, RequestError) as error:
            logger.warning("Warning: %s was read again: %s", file, error)
        else:
            logger.info("%s was read again", file)

    if hasattr(signal, "SIGHUP"):  # not on Windows
        # In a thread: loading models would hold up the event loop.
        signal.signal(
            signal.SIGHUP, lambda *_: threading.Thread(target=reload, daemon=True).start()
        )


def _loader(engine: str) -> type[Model]:
    if engine == "tensorflow":
        return Model
    from keras_transfer.serving.openvino_model import OpenVinoModel, pays

    if engine == "openvino" and find_spec("openvino") is None:
        raise BadConfiguration("openvino is not installed: pip install 'keras_transfer[openvino]'.")
    return OpenVinoModel if engine == "openvino" or pays() else Model


def _listen(service: Service, settings: Settings) -> None:
    hosts = Hosts(settings.host, settings.allow_host)
    app = build_app(service, token=settings.token, examples=settings.examples, hosts=hosts)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # Otherwise uvicorn would replace the configuration of logging.
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        http=HttpConnection,
        ws="none",
        # A second longer than the slowest answer, so that none is cut off.
        timeout_graceful_shutdown=int(settings.limits.seconds) + 1,
    )
    grpc_server, grpc_port = None, None
    if settings.grpc_port is not None:
        where = _address(settings.host, settings.grpc_port)
        grpc_server, grpc_port = build_grpc(service, where, token=settings.token)
        if not grpc_port:
            raise BadConfiguration(_unheard(where, "--grpc-port"))
        grpc_server.start()
    try:
        asyncio.run(_Server(config, service, grpc_server, grpc_port).run_until_stopped())
    except KeyboardInterrupt:  # uvicorn hands the signal on once it has ended
        pass
    finally:
        if grpc_server is not None:
            grpc_server.stop(None).wait()


def _address(host: str, port: int) -> str:
    """``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unheard(where: str, option: str) -> str:
    return (
        f"{where} cannot be listened at: the port is taken, or the address is not this machine's. "
        f"Name a {option} or --host."
    )


class _Server(uvicorn.Server):
    """Says when and where it listens, and when its port is taken."""

    def __init__(
        self, config: uvicorn.Config, service: Service, grpc_server: Any, grpc_port: int | None
    ):
        super().__init__(config)
        self.service, self.grpc_server, self.grpc_port = service, grpc_server, grpc_port

    async def run_until_stopped(self) -> None:
        try:
            await self.serve()
        except SystemExit:
            where = _address(self.config.host, self.config.port)
            raise BadConfiguration(_unheard(where, "--port")) from None

    async def shutdown(self, sockets: Any = None) -> None:
        # Both at once, so that the time for what was begun passes once and not twice.
        seconds = self.service.limits.seconds
        stopped = self.grpc_server.stop(seconds) if self.grpc_server is not None else None
        await super().shutdown(sockets)
        if stopped is not None:
            await asyncio.to_thread(stopped.wait, seconds)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        port = self.servers[0].sockets[0].getsockname()[1]
        models = self.service.versions.answering()
        told = ", ".join(f"{one.name} version {one.version}" for one in models)
        host = self.config.host
        beside = f", gRPC at {_address(host, self.grpc_port)}" if self.grpc_port else ""
        logger.info(
            "Serving %s at http://%s%s",
            *(told, _address(host, port), beside),
        )

"""All models of a server: each with its own versions, labels and state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.messages import echo
from keras_transfer.serving.model_config import ModelConfig
from keras_transfer.serving.models import Model
from keras_transfer.serving.versions import State, Versions, not_found

__all__ = ["ServedModels"]

logger = logging.getLogger("keras_transfer")


class _Served(NamedTuple):
    config: ModelConfig
    versions: Versions


class ServedModels:
    """The models of a configuration. What befalls one of them does not concern the others.

    Args:
        configs: What to serve.
        load: Makes a model of name, version and folder.
    """

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        load: Callable[[str, int, Path], Model] = Model,
    ):
        self.load = load
        self._served = {one.name: _Served(one, self._versions(one)) for one in configs}
        # Folders that the operator has named: a request may not add others.
        self._folders = {one.base for one in configs}
        self._loading = threading.Lock()
        self._stop = threading.Event()

    def _versions(self, config: ModelConfig) -> Versions:
        return Versions(config.base, config.name, config.policy, self.load)

    @property
    def names(self) -> list[str]:
        """Of all models, in the order of the configuration."""
        return list(self._served)

    @property
    def ready(self) -> bool:
        """Whether any model answers: a broken one is no reason to stop asking the others."""
        return bool(self.answering())

    def answering(self) -> list[Model]:
        """The newest version of each model that has one."""
        served = self._served.values()
        return [one.versions.get(one.config.name) for one in served if one.versions.ready]

    def get(self, name: str, version: int | None = None) -> Model:
        """The model that answers now.

        Raises:
            RequestError: There is none of that name and version.
        """
        served = self._served.get(name)
        if served is not None:
            return served.versions.get(name, version)
        raise not_found(name, version)

    def labelled(self, name: str, label: str) -> int:
        """The version of a model that has a label.

        Raises:
            RequestError: There is no such label.
        """
        served = self._served.get(name)
        if served is None or label not in served.config.labels:
            raise RequestError(
                "INVALID_ARGUMENT", f"Unrecognized servable version label: {echo(label)}"
            )
        return served.config.labels[label]

    def states(self, name: str) -> Mapping[int, State]:
        """What became of the versions of a model; nothing for an unknown one."""
        served = self._served.get(name)
        return dict(served.versions.states) if served else {}

    def look(self) -> None:
        """Load and drop versions as the folders and the policies have it."""
        with self._loading:
            for served in self._served.values():
                _look(served)

    def watch(self, seconds: float) -> None:
        """Look again every so often, in a thread of its own, until ``close``."""

        def watching() -> None:
            # Unlike sleep, it ends at once when `close` is called.
            while not self._stop.wait(seconds):
                self.look()

        threading.Thread(target=watching, name="versions", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()

    def reload(self, configs: Sequence[ModelConfig], *, by_request: bool = False) -> None:
        """Serve other models, versions or labels, without a gap for those that stay.

        Args:
            configs: All that is to be served; models that are not there are dropped.
            by_request: A client asks for it; it may name no new folder, since a SavedModel is a
                program.

        Raises:
            RequestError: It may not be done, or a model that is new or has moved cannot be
                loaded. The other models are as ``configs`` says even so.
        """
        with self._loading:
            for config in configs:
                if by_request and config.base not in self._folders:
                    raise RequestError(
                        "PERMISSION_DENIED",
                        f"A request cannot add the base_path of model {config.name}; add it to "
                        "the file of --config and send SIGHUP",
                    )
                self._check_labels(config)
            if not by_request:
                self._folders = {config.base for config in configs}
            self._replace(configs)

    def _check_labels(self, config: ModelConfig) -> None:
        """As with ``--allow_version_labels_for_unavailable_models``: only new labels may wait."""
        served = self._served.get(config.name)
        if served is None:
            return
        for label, version in config.labels.items():
            moved = served.config.labels.get(label, version) != version
            if moved and not served.versions.has(version):
                raise RequestError(
                    "FAILED_PRECONDITION",
                    f"Request to assign label to version {version} of model {config.name}, which "
                    "is not currently available for inference",
                )

    def _replace(self, configs: Sequence[ModelConfig]) -> None:
        before, after = self._served, {}
        for config in configs:
            old = before.get(config.name)
            # A model that has moved is loaded beside what answers now.
            same = old.versions if old is not None and old.config.base == config.base else None
            after[config.name] = _Served(config, same or self._versions(config))
        # Labels move first, so that they never point to a version that has just been dropped.
        staying = {name: one for name, one in after.items() if one.versions.ready}
        self._served = {**before, **staying}
        for served in after.values():
            served.versions.policy = served.config.policy
            _look(served)
        missing = [name for name, one in after.items() if not one.versions.ready]
        # Where a model has moved and is broken there, it goes on from where it was.
        self._served = {
            name: before[name] if name in missing and name in before else one
            for name, one in after.items()
        }
        if missing:
            raise RequestError(
                "UNKNOWN", f"{len(missing)} model(s) did not become available: {missing}"
            )


def _look(served: _Served) -> None:
    try:
        served.versions.look()
    except OSError as error:
        logger.warning("Warning: %s cannot be looked at: %s", served.config.base, error)

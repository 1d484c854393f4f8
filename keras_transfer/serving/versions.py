"""The versions of a model in a folder: the newest sound one answers, while others come and go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.exports.versions import numbered
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.messages import echo, foreign
from keras_transfer.serving.models import Model

__all__ = ["State", "Versions", "locate"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True)
class State:
    """What became of a version, in TensorFlow Serving's words.

    Attributes:
        state: "LOADING", "AVAILABLE" or "END".
        error: Why it is not served; empty where nothing went wrong.
    """

    state: str
    error: str = ""


def locate(path: Path) -> tuple[Path, int | None]:
    """Find the folder of versions that a path names, and the version if it names one.

    Args:
        path: ``DIR/<model>``, ``DIR/<model>/<version>``, or a DIR with one model.

    Raises:
        BadConfiguration: There is nothing to serve.
    """
    path = path.resolve()
    if (path / "saved_model.pb").is_file():
        if not path.name.isdecimal() or int(path.name) >= 1 << 63:
            raise BadConfiguration(
                f"{path} is a SavedModel, but its folder is no version such as .../<model>/1."
            )
        return path.parent, int(path.name)
    if numbered(path):
        return path, None
    models = [one for one in sorted(path.glob("*")) if numbered(one)]
    if len(models) == 1:
        return models[0], None
    found = (
        f"It holds the models {', '.join(one.name for one in models)}; name one"
        if models
        else ("Export a run first: kt-recipe export RUN")
    )
    raise BadConfiguration(f"{path} holds no version of a SavedModel to serve. {found}.")


class Versions:
    """Loads, switches and drops versions.

    A request holds on to the model it was begun with, so that switching disturbs none; the old
    one's memory is given back with the last of them.

    Args:
        base: The folder of the versions.
        name: Of the model.
        only: Serve this version for ever; None: the newest, looked for again by ``look``.
        load: Makes a model; for those who want more than the SavedModel in it.
    """

    def __init__(
        self,
        base: Path,
        name: str,
        only: int | None = None,
        load: Callable[[str, int, Path], Model] = Model,
    ):
        self.base, self.name, self.only, self.load = base, name, only, load
        self.states: dict[int, State] = {}
        self._stamps: dict[int, object] = {}
        self._model: Model | None = None
        self._stop = threading.Event()

    def look(self) -> None:
        """Load the newest version that can be served, if it is not the one that is."""
        numbers = [self.only] if self.only is not None else numbered(self.base)
        for number in reversed(numbers):
            if self._model is not None and number == self._model.version:
                return
            if self._try(number):
                return

    def _try(self, number: int) -> bool:
        folder = self.base / str(number)
        stamp = _stamp(folder)
        if self._stamps.get(number) == stamp:
            return False  # it was refused, and is the same still
        self._stamps[number] = stamp
        self.states[number] = State("LOADING")
        try:
            model = self.load(self.name, number, folder)
        except BadData as error:
            self.states[number] = State("END", foreign(error))
            logger.warning("Warning: %s", error)
            return False
        except Exception as error:  # whatever a broken file makes TensorFlow do
            self.states[number] = State("END", foreign(f"{type(error).__name__}: {error}"))
            logger.warning("Warning: version %s cannot be served: %s", number, error)
            return False
        # One assignment: a request sees the old model or the new one, and needs no lock.
        before, self._model = self._model, model
        self.states[number] = State("AVAILABLE")
        logger.info("Version %s of %s answers now", number, self.name)
        if before is not None:
            self.states[before.version] = State("END")
            # Forgotten, so that it is loaded again if the newer version is removed.
            self._stamps.pop(before.version)
        return True

    @property
    def ready(self) -> bool:
        """Whether there is a model that answers."""
        return self._model is not None

    def get(self, name: str, version: int | None = None) -> Model:
        """The model that answers now.

        Raises:
            Refused: It is called otherwise, or has another version.
        """
        model = self._model
        if name == self.name and model is not None and version in (None, model.version):
            return model
        shown = echo(name)
        asked = f"Latest({shown})" if version is None else f"Specific({shown}, {version})"
        raise RequestError("NOT_FOUND", f"Servable not found for request: {asked}")

    def watch(self, seconds: float) -> None:
        """Look again every so often, in a thread of its own, until ``close``."""

        def watching() -> None:
            # Unlike sleep, it ends at once when `close` is called.
            while not self._stop.wait(seconds):
                try:
                    self.look()
                except OSError as error:
                    logger.warning("Warning: %s cannot be looked at: %s", self.base, error)

        if self.only is None:
            threading.Thread(target=watching, name="versions", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()


def _stamp(folder: Path) -> object:
    """Changes when a file of a version does."""
    try:
        return sorted(
            (str(file), status.st_size, status.st_mtime_ns)
            for file in folder.rglob("*")
            for status in [file.stat()]
        )
    except OSError:
        return None

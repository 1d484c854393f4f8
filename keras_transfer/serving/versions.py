"""The versions of a model in a folder: the newest sound ones answer, while others come and go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.exports.versions import numbered
from keras_transfer.serving import heap
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.messages import echo, foreign
from keras_transfer.serving.model_config import Policy
from keras_transfer.serving.models import Model

__all__ = ["State", "Versions", "locate", "not_found"]

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
        policy: Which of them.
        load: Makes a model; for those who want more than the SavedModel in it.
    """

    def __init__(
        self,
        base: Path,
        name: str,
        policy: Policy = Policy(),  # noqa: B008 - frozen
        load: Callable[[str, int, Path], Model] = Model,
    ):
        self.base, self.name, self.policy, self.load = base, name, policy, load
        self.states: dict[int, State] = {}
        self._stamps: dict[int, object] = {}
        self._models: Mapping[int, Model] = {}

    def look(self) -> None:
        """Load the newest versions that can be served, and drop those that they replace."""
        before, kept = self._models, list[int]()
        for number in self.policy.candidates(numbered(self.base)):
            if len(kept) == self.policy.latest:
                break
            if number in self._models or self._try(number):
                kept.append(number)
        if kept:  # otherwise what answers goes on
            for number in set(self._models) - set(kept):
                self._drop(number)
        if self._models is not before:
            del before
            heap.settle()

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
        # One assignment: a request sees the old models or the new ones, and needs no lock.
        self._models = {**self._models, number: model}
        self.states[number] = State("AVAILABLE")
        logger.info("Version %s of %s answers now", number, self.name)
        return True

    def _drop(self, number: int) -> None:
        self._models = {one: model for one, model in self._models.items() if one != number}
        self.states[number] = State("END")
        # Forgotten, so that it is loaded again if the newer version is removed.
        self._stamps.pop(number)

    @property
    def ready(self) -> bool:
        """Whether there is a model that answers."""
        return bool(self._models)

    def has(self, version: int) -> bool:
        """Whether a version answers."""
        return version in self._models

    def get(self, name: str, version: int | None = None) -> Model:
        """The model that answers now: the newest, or the version that is asked for.

        Raises:
            Refused: It is called otherwise, or has another version.
        """
        models = self._models
        if name == self.name and models and (version is None or version in models):
            return models[max(models) if version is None else version]
        raise not_found(name, version)


def not_found(name: str, version: int | None) -> RequestError:
    """Says in TensorFlow Serving's words that there is no such model or version."""
    shown = echo(name)
    asked = f"Latest({shown})" if version is None else f"Specific({shown}, {version})"
    return RequestError("NOT_FOUND", f"Servable not found for request: {asked}")


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

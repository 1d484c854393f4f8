"""Base of all recipes: frozen settings, changed copies, and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError
from typing_extensions import Self

from keras_transfer import catalog, runs
from keras_transfer.clock import phases
from keras_transfer.config import shorthand
from keras_transfer.config.groups import Data
from keras_transfer.config.messages import readable
from keras_transfer.config.tree import differences, merged, nested
from keras_transfer.config.upgrade import renamed
from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration
from keras_transfer.group import Group
from keras_transfer.reports.writing import after_run
from keras_transfer.tracking.following import followed
from keras_transfer.tracking.table import chosen

if TYPE_CHECKING:
    from keras_transfer.workflows.feature_files import Features

__all__ = ["Recipe"]


class Recipe(Group):
    """Immutable settings of a training; base of all workflows.

    A workflow adds its settings as fields and runs in ``train``. Settings of a group may be given
    without the group, and some words stand for a setting of every stage; see
    ``keras_transfer.config``.
    """

    data: Data = Field(description="the labelled examples")
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="random seed", json_schema_extra={"section": "Training"}
    )

    def __init__(self, **settings: Any):
        try:
            super().__init__(**self._complete(renamed(settings)))
        # from None: pydantic's own message would be printed above ours.
        except ValidationError as error:
            raise readable(error, type(self)) from None

    @classmethod
    def _complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings in their groups; a workflow with stages applies its shorthand here too."""
        return nested(cls, settings)

    def changed(self, **settings: Any) -> Self:
        """A copy with other values of some settings.

        Args:
            settings: New values by name. A mapping for a group (``head={"dropout": 0.2}``)
                changes the settings it names and keeps the others of the group.

        Raises:
            UnknownName: There is no such setting.
            BadConfiguration: A value that is not allowed.
        """
        given = renamed(settings, getattr(self, "baselines", ()))
        # Shorthand is applied to the merged stages, so it must not be merged itself.
        short = {name: given.pop(name) for name in shorthand.SHORTHAND if name in given}
        return type(self)(**merged(self.settings(), nested(type(self), given)), **short)

    def settings(self) -> dict[str, Any]:
        """All settings with their values, nested, in plain JSON types."""
        # JSON types, so that settings read back from YAML compare equal.
        return self.model_dump(mode="json")

    def run(
        self,
        data: Any = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        name: str | None = None,
        track: str | Iterable[str] = (),
        **settings: Any,
    ) -> runs.Run:
        """Train the recipe, with some settings changed, in a new run directory.

        Args:
            data: A spec as in the setting ``data``, arrays ``(x, y)``, or a ``pandas.DataFrame``
                with the columns of a manifest; the recipe's own if None.
            out: The run directory; ``runs/<recipe>/<n>`` if None.
            resume: Resume an interrupted run: that of ``out``, or the last one of this recipe. Its
                stored settings hold.
            name: Name of the recipe, in the path of its run directory; its module's if None.
            track: Trackers that are told of the run: "mlflow", "wandb", "tensorboard", one or
                several; "none" for none at all. A resumed run keeps those that it began with.
            settings: Changed for this run.

        Returns:
            The finished run.

        Raises:
            TransferError: Its class says what to mend; see ``keras_transfer.errors``.
        """
        if data is not None:
            settings["data"] = _named(data)
        name = name or catalog.name_of(self)
        if resume:
            folder = runs.interrupted(name, out)
            changed = self.stored_in(folder)
            changed.check_same(changed.changed(**settings))
            trackers = chosen(track, folder)
        else:
            changed = self.changed(**settings)
            trackers = chosen(track)
            # After the settings are checked: a recipe that is refused takes no number.
            folder = runs.new_folder(name, out, not_inside=changed.data.source)
        changed.run_in(folder, name, changed.source_of(data), track=trackers)
        return runs.Run(folder)

    def features(
        self,
        data: Any = None,
        *,
        layer: str | None = None,
        pooling: str | None = None,
        splits: str | Sequence[str] = (),
        labelled: bool = True,
        **settings: Any,
    ) -> Features:
        """Compute features of the data by the pretrained backbone, without training.

        What is in the cache is not computed again; runs with the same frozen network share it.

        Args:
            data: As for ``run``; with ``labelled=False`` as for ``predict``.
            layer: A block or layer of the backbone; None: its output.
            pooling: As ``head.pooling``, or "none" for maps; that of the recipe's head if None.
            splits: The splits to compute, e.g. ``"train"``, one or several; all if there is none.
            labelled: Whether the data have labels.
            settings: Changed for these features.

        Returns:
            Features with keys, splits and labels.

        Raises:
            TransferError: Its class says what to mend; see ``keras_transfer.errors``.
        """
        from keras_transfer.workflows.frozen_features import MAPS, frozen_features

        self.check_labelled("features")

        if pooling not in (None, MAPS):
            settings["pooling"] = pooling  # checked with all other settings
        if data is not None:
            settings["data"] = _named(data)
        recipe = self.changed(**settings)
        how: dict[str, Any] = {"layer": layer, "pooling": pooling}
        how["splits"] = (splits,) if isinstance(splits, str) else tuple(splits)
        return frozen_features(recipe, recipe.source_of(data), labelled=labelled, **how)

    def check_labelled(self, what: str) -> None:
        """Refuse what needs labels, in a recipe that has none; here nothing is refused.

        Args:
            what: What is asked for, such as "tune".

        Raises:
            BadConfiguration: The recipe reads no labels.
        """

    def source_of(self, data: Any) -> Any:
        """The data to read: a spec, or arrays, which cannot be a setting.

        Args:
            data: As for ``run``; the setting ``data`` describes it.
        """
        arrays = data is not None and not isinstance(data, str | Path | Mapping)
        return data if arrays else self.data.source

    def stored_in(self, folder: Path) -> Self:
        """The recipe that the run in a directory was started with."""
        settings = runs.stored_settings(folder)
        return self if settings is None else self.changed(**settings)

    def check_same(self, asked: Self) -> None:
        """Refuse to resume with settings that differ from those of the run.

        Raises:
            BadConfiguration: Some differ; it names them.
        """
        differing = [
            f"{path} = {began!r}, not {value!r}"
            for path, began, value in differences(self.settings(), asked.settings())
        ]
        if differing:
            raise BadConfiguration(
                f"The interrupted run has {', '.join(differing)}. Resume it without these options, "
                "or start a new run without --resume."
            )

    def run_in(
        self,
        folder: Path,
        name: str,
        source: Any,
        *,
        report: bool = True,
        track: Sequence[str] = (),
    ) -> None:
        """Run in this directory, which is empty or holds an interrupted run of the same recipe.

        Args:
            folder: The run directory.
            name: Name of the recipe.
            source: The data: a spec string or arrays.
            report: Whether to write ``report.html`` at the end.
            track: Trackers that are told of it, as ``tracking.table.chosen`` gives them.
        """
        with followed(folder, track):
            self._recorded(folder, name, source, report)

    def _recorded(self, folder: Path, name: str, source: Any, report: bool) -> None:
        recording = runs.recording(folder, name, type(self).__name__, self.settings())
        with phases() as seconds, recording as metadata:
            metadata["seconds"] = seconds
            recipe = self.resolved(folder, source)
            if recipe is not self:
                runs.replace_settings(folder, metadata, recipe.settings())
            metadata.update(recipe.train(folder, source))
        # Only now: until run.json says "done", a resumed run needs the states of training.
        for home in (folder, *folder.glob("members/*")):
            for state in home.glob("*.npz"):
                state.unlink()
        if report:
            after_run(folder, source)

    def resolved(self, folder: Path, source: Any) -> Self:
        """The recipe with all that is found by the data before a run starts; here nothing is.

        Args:
            folder: The run directory.
            source: The data: a spec string or arrays.
        """
        return self

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Check, read, train, evaluate, write.

        Args:
            folder: The run directory.
            source: The data: a spec string or arrays.

        Returns:
            Further entries of ``run.json``, such as "data".
        """
        raise NotImplementedError


def _named(data: Any) -> Any:
    """Data as the setting ``data`` takes them; arrays by their description."""
    return data if isinstance(data, Mapping) else sources.describe(data)

"""Recipes as classifiers of scikit-learn."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from keras_transfer import catalog, runs
from keras_transfer.atomic import write_bytes
from keras_transfer.data.class_names import is_missing
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.workflows.recipe import Recipe

__all__ = ["ImageClassifier", "TextClassifier"]


class _RecipeClassifier(ClassifierMixin, BaseEstimator):
    """What classifiers of images and of texts share."""

    recipe: str | Recipe
    settings: Mapping[str, Any] | None
    validation_fraction: float
    out: str | None

    def fit(self, X: Any, y: Any) -> Any:
        """Run the recipe on labelled examples.

        Args:
            X: n examples; see the class.
            y: (n,) labels: words or numbers.

        Raises:
            TransferError: Its class says what to mend; see ``keras_transfer.errors``.
        """
        self.__dict__.pop("_run", None)  # that of an earlier fit
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        try:
            self.classes_ = np.unique(labels)
        except TypeError as error:
            raise BadData(f"y holds labels that cannot be sorted: {error}") from None
        self._check_shape(X)
        names = [str(label) for label in self.classes_]
        if len(X) != len(labels):
            raise BadData(f"X has {len(X)} examples, and y {len(labels)} labels.")
        if len({*names}) < len(names) or any(is_missing(n) or n != n.strip() for n in names):
            raise BadData(
                f"y has classes whose names are empty, alike, or begin or end with a space: "
                f"{names!r:.300}. Rename them."
            )
        recipe = self._recipe()
        # The run wants a test split; as little as possible is taken away from training.
        split = {"val": self.validation_fraction, "test": len(names)}
        data = self._data(X, np.array(names)[np.searchsorted(self.classes_, labels)], recipe)
        done = recipe.run(data=data, out=self._folder(), split=split)
        self.folder_ = str(Path(done.folder).resolve())
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, classes) float64 probabilities, in the order of ``classes_``.

        Raises:
            BadData: An example cannot be used; its reason.
        """
        shares = self._probabilities(X)
        return shares[:, [self.run_.classes.index(str(label)) for label in self.classes_]]

    def _probabilities(self, X: Any) -> np.ndarray:
        """(n, classes) float64, in the order of the run's classes."""
        check_is_fitted(self, "folder_")
        found = self.run_.predict(self._given(X))
        bad = [f"{one.path}: {one.error}" for one in found if one.error]
        if bad:
            raise BadData("These examples cannot be used:", bad)
        if len(found) != len(X):
            raise BadData(f"{len(X)} examples hold {len(found)}. Name files, not folders.")
        return np.array([one.probabilities for one in found], "float64")

    def predict(self, X: Any) -> np.ndarray:
        """(n,) the class of each example: by the run's threshold, or the most probable one."""
        shares = self._probabilities(X)  # first: it says if nothing was fitted
        (output,) = self.run_.outputs.values()
        found = output.objective.decide(shares, output.decision)
        places = {str(label): place for place, label in enumerate(self.classes_)}
        return self.classes_[[places[self.run_.classes[one]] for one in found]]

    @property
    def run_(self) -> runs.Run:
        """The run, with its model, metrics and page."""
        if self.__dict__.get("_run") is None:
            self._run = runs.Run(self.folder_)
        return self._run

    def _folder(self) -> Path | None:
        """A folder of its own for each fit."""
        if self.out is None:
            return None
        return next(p for n in count(1) if not (p := Path(self.out, str(n))).exists())

    def _check_shape(self, X: Any) -> None:
        dimensions = getattr(X, "ndim", 1)
        if dimensions not in ((1,) if self._texts else (1, 3, 4)):
            raise BadData(f"X has the shape {X.shape}: {self._expected}.")

    def _recipe(self) -> Any:
        recipe: Any = self.recipe
        recipe = catalog.find(recipe).recipe if isinstance(recipe, str) else recipe
        changed = recipe.changed(**(self.settings or {}))
        texts = bool(changed.input.text_columns)
        if texts is not self._texts or changed.input.type == "text_pair":
            other = "TextClassifier" if texts else "ImageClassifier"
            raise BadConfiguration(
                f"input = {changed.input.type}: {type(self).__name__} takes "
                f"{'texts' if self._texts else 'images'}. Use {other}, or another recipe."
            )
        return changed

    def _table(self, column: str, cells: Sequence[Any], names: np.ndarray) -> str:
        """A table of the examples, kept by its content; the run reads it again, e.g. to export."""
        text = io.StringIO(newline="")
        # Not escaped as tables for people are: a text that begins with = stays what it is.
        csv.writer(text).writerows([(column, "label"), *zip(cells, names, strict=True)])
        try:
            content = text.getvalue().encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise BadData(f"An example is no valid Unicode: {error}") from None
        digest = hashlib.sha256(content).hexdigest()[:20]
        path = Path(self.out or "runs", "tables", f"{digest}.csv").resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        return str(path)

    def __getstate__(self) -> dict[str, Any]:
        """Parameters and the run's folder; the network stays there."""
        return {name: value for name, value in super().__getstate__().items() if name != "_run"}

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may know: no tables of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


class ImageClassifier(_RecipeClassifier):
    """A recipe for images with ``fit``, ``predict``, ``predict_proba`` and ``score``.

    Examples are paths of image files, or one (n, height, width, 3) uint8 RGB array. Each ``fit`` is
    a run with a folder of its own, ``folder_``; features of frozen layers are cached by content, so
    the folds of a cross-validation compute each image once. A pickled classifier needs the folder
    where it is loaded.

    Args:
        recipe: Name of a recipe, its .py file, or a ``Classify``.
        settings: Settings that differ from the recipe's, e.g. ``{"epochs": 3, "seed": 1}``.
        validation_fraction: Share of the examples that choose the best epoch. One example of each
            class goes to the test split of the run, which says little; use ``score``.
        out: Gets a numbered folder for each fit; ``runs/<recipe>/<number>`` if None. The folder
            ``tables`` in it, or in ``runs``, keeps tables of the examples, which the runs read
            again, e.g. for exports.
    """

    _texts = False
    _expected = "paths of images, or one array (n, height, width, 3) of them"

    def __init__(
        self,
        recipe: str | Recipe = "mobilenet_v2_catsdogs",
        settings: Mapping[str, Any] | None = None,
        validation_fraction: float = 0.15,
        out: str | None = None,
    ):
        self.recipe = recipe
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.out = out

    def _data(self, X: Any, names: np.ndarray, recipe: Recipe) -> Any:
        if getattr(X, "ndim", 1) > 1:
            return np.asarray(X), names
        return self._table("path", [str(Path(path).expanduser().resolve()) for path in X], names)

    def _given(self, X: Any) -> Any:
        return X if getattr(X, "ndim", 1) > 1 else [str(path) for path in X]


class TextClassifier(_RecipeClassifier):
    """A recipe for texts with ``fit``, ``predict``, ``predict_proba`` and ``score``.

    Examples are texts. The rest is as in ``ImageClassifier``.

    Args:
        recipe: Name of a recipe, its .py file, or a ``Classify``.
        settings: Settings that differ from the recipe's, e.g. ``{"epochs": 3, "seed": 1}``.
        validation_fraction: Share of the examples that choose the best epoch. One example of each
            class goes to the test split of the run, which says little; use ``score``.
        out: Gets a numbered folder for each fit; ``runs/<recipe>/<number>`` if None. The folder
            ``tables`` in it, or in ``runs``, keeps tables of the examples, which the runs read
            again, e.g. for exports.
    """

    _texts = True
    _expected = "texts, one for each example"

    def __init__(
        self,
        recipe: str | Recipe = "bert_sst2",
        settings: Mapping[str, Any] | None = None,
        validation_fraction: float = 0.15,
        out: str | None = None,
    ):
        self.recipe = recipe
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.out = out

    def _data(self, X: Any, names: np.ndarray, recipe: Any) -> Any:
        return self._table(recipe.input.text_columns[0], list(X), names)

    def _given(self, X: Any) -> Any:
        return list(X)

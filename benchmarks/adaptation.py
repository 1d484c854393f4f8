"""What adaptation without labels wins back on photos of cats and dogs that are made worse.

    python -m benchmarks adaptation [--shifts NAME ...] [--methods NAME ...] [--seeds N]

The source has 200 training images of each class, and val and test of cats_dogs; each target is
made of 300 other images of each class. Models adapt to these without labels, and are measured with
them. All have MobileNetV2 0.35 frozen. With ``--home DIR`` runs and features stay there, and what
is done is not repeated.

``batch_norm`` (AdaBN) takes the statistics of the target in place of the pretrained ones; the head
is that of the model without adaptation. In ``batch_norm_both`` the head was trained on features of
a network with the statistics of the source.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._report import report
from benchmarks._shifts import CLASSES, SHARED, SHIFTS, source_photos, target_photos, write_target
from keras_transfer.quiet import import_tensorflow

PHOTOS = 300
"""Of each class in a target."""
BATCH = 200
"""Images whose statistics are taken together."""
CHANGED = tuple(name for name in SHIFTS if name != "resized")
"""Shifts by which a model of photos loses clearly."""

DEEP = ("dan", "mcc")
SHALLOW = ("coral", "domain_standardization")
STATISTICS = ("batch_norm", "batch_norm_both")
PREDICTIONS = ("mcc",)
"""Methods that train on predictions for the target, by which models are chosen too."""

COLUMNS = (
    *("shift", "method", "photos", "source only", "adapted", "low", "high"),
    *("won back", "information maximization", "kept, or chosen", "best epoch by labels"),
)


class Found(NamedTuple):
    """One model on one target.

    Attributes:
        accuracy: With the labels of the target.
        plain: That of the same network, or learner, without adaptation.
        criterion: ``information_maximization``, without labels.
        kept: Whether the criterion prefers it to the same model without adaptation.
        oracle: Accuracy of the best epoch by labels of the target; None: there are no epochs.
    """

    accuracy: float
    plain: float
    criterion: float
    kept: bool
    oracle: float | None = None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks adaptation")
    methods = (*DEEP, *SHALLOW, *STATISTICS)
    parser.add_argument("--shifts", nargs="+", choices=SHIFTS, default=CHANGED)
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where images, runs and features stay")
    return parser.parse_args()


def main() -> None:
    """Adapt to each target, and print the table."""
    asked = arguments()
    import_tensorflow()
    with tempfile.TemporaryDirectory() as beside:
        bench = Bench((asked.home or Path(beside)).resolve(), asked.seeds)
        found = {shift: bench.shift(shift, asked.methods) for shift in asked.shifts}
        photos = bench.photos()
        labelled = {shift: bench.labelled(shift) for shift in asked.shifts}
    rows = [row for shift, models in found.items() for row in rows_of(shift, photos, models)]
    runs = {
        shift: {name: [one._asdict() for one in each] for name, each in models.items()}
        for shift, models in found.items()
    }
    chances = {"with_target_labels": labelled, "photos": photos}
    report("adaptation", COLUMNS, rows, seeds=asked.seeds, **chances, runs=runs)


class Bench:
    """Data, runs and features of the measurement in one folder.

    Args:
        home: The folder.
        seeds: Number of seeds.
    """

    def __init__(self, home: Path, seeds: int):
        self.home, self.seeds = home, range(seeds)
        home.mkdir(parents=True, exist_ok=True)
        self.source = _table(home / "source.csv", source_photos())
        self.images = {name: files[:PHOTOS] for name, files in target_photos().items()}
        _table(home / "photos.csv", {"test": self.images})

    def shift(self, shift: str, methods: Sequence[str]) -> dict[str, list[Found]]:
        """Models without and with adaptation, by method; one for each seed."""
        found = {"source_only": [self._statistics("", shift, seed) for seed in self.seeds]}
        for method in methods:
            if method in DEEP:
                each = [self._deep(method, shift, seed) for seed in self.seeds]
            elif method in SHALLOW:  # nothing is random
                each = [self._shallow(method, shift)] * len(self.seeds)
            else:
                each = [self._statistics(method, shift, seed) for seed in self.seeds]
            found[method] = each
            print(shift, method, [round(one.accuracy, 3) for one in each], flush=True)
        return found

    def photos(self) -> list[float]:
        """Accuracy without adaptation on the same images before they are changed, by seed."""
        features = self._features("photos", "")
        return [self._accuracy(self._head("plain", seed)(features)) for seed in self.seeds]

    def labelled(self, shift: str) -> dict[str, float]:
        """Accuracy of logistic regression with labels of the target, by cross-validation."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        learner = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        return {
            name: float(cross_val_score(learner, features, self._labels(), cv=5).mean())
            for name, features in (
                ("as it is", self._features(shift, "")),
                ("batch_norm", self._features(shift, shift)),
            )
        }

    def _deep(self, method: str, shift: str, seed: int) -> Found:
        folder = self.home / f"{method}-{shift}-{seed}"
        recipe = self._recipe(seed).changed(method=self._method(method, shift))
        # The run without adaptation is the same for all targets.
        return _of(self._run(recipe, folder, self._plain("plain", seed).folder))

    def _shallow(self, method: str, shift: str) -> Found:
        from keras_transfer import FeatureExtraction

        recipe = FeatureExtraction(**self._settings(), method=self._method(method, shift))
        return _of(self._run(recipe, self.home / f"{method}-{shift}"))

    def _statistics(self, method: str, shift: str, seed: int) -> Found:
        """A model whose batch normalizations have the statistics of the target, if any method."""
        head = self._head("own" if method == "batch_norm_both" else "plain", seed)
        scores = head(self._features(shift, shift if method else ""))
        accuracy, criterion = self._accuracy(scores), _criterion(scores)
        if not method:
            return Found(accuracy, accuracy, criterion, True)
        plain = self._statistics("", shift, seed)
        return Found(accuracy, plain.accuracy, criterion, criterion > plain.criterion)

    def _method(self, name: str, shift: str) -> dict[str, Any]:
        return {"type": name, "target_data": str(self._target(shift))}

    def _settings(self, weights: Path | None = None) -> dict[str, Any]:
        from keras_transfer import Backbone, Image

        file = weights or SHARED / "weights/mobilenet_v2_0.35_224_no_top.weights.h5"
        backbone = Backbone(name="mobilenet_v2", variant={"alpha": 0.35}, weights=str(file))
        more = {"input": Image(resize="pad"), "baselines": ("none",)}
        return {"data": str(self.source), "backbone": backbone, **more}

    def _recipe(self, seed: int, weights: Path | None = None) -> Any:
        """That of recipe coral_folder with fewer epochs, without adaptation."""
        from keras_transfer import Classify, Head, Stage

        stage = Stage("head", epochs=10, learning_rate=1e-3, schedule="cosine", views=1)
        head = Head(units=(256,), dropout=0.2)
        return Classify(**self._settings(weights), head=head, stages=(stage,), seed=seed)

    def _plain(self, network: str, seed: int) -> Any:
        """The run without adaptation, on the network as it is or with statistics of the source."""
        weights = self._own_weights() if network == "own" else None
        return self._run(self._recipe(seed, weights), self.home / f"{network}-{seed}")

    def _run(self, recipe: Any, folder: Path, plain: Path | None = None) -> Any:
        import keras

        from keras_transfer import runs

        if not runs.is_done(folder):
            shutil.rmtree(folder, ignore_errors=True)
            if plain is not None:
                shutil.copytree(plain, folder / recipe.method.baseline_name)
            keras.utils.clear_session()
            recipe.run_in(folder, folder.name, recipe.data.source)
        return runs.Run(folder)

    def _target(self, name: str) -> Path:
        """The images of a target, made if they are not there."""
        folder = self.home / name
        if name == "photos":
            return folder.with_suffix(".csv")
        return folder if folder.exists() else write_target(folder, self.images, name)

    def _features(self, name: str, statistics: str) -> np.ndarray:
        """(n, channels) pooled features of a target, with statistics of images ("": pretrained)."""
        import keras

        from keras_transfer.evaluation.inference import predict

        path = self.home / f"features-{name}-{statistics or 'pretrained'}.npy"
        if not path.exists():
            model = self._adapted(statistics)
            pooled = keras.Model(model.inputs, {"pool": model.get_layer("pool").output})
            batches = self._batches(self._samples(name))
            np.save(path, predict(pooled, batches)["pool"])
        return np.load(path)

    def _samples(self, name: str) -> Any:
        run = self._plain("plain", 0)
        return run.samples(["train"]) if name == "source" else run.labelled(self._target(name))

    def _batches(self, samples: Any) -> Any:
        from dataclasses import replace

        from keras_transfer.data.batches import plain_batches

        loading = self._plain("plain", 0).loading
        return plain_batches(samples, replace(loading, batch_size=BATCH))

    def _adapted(self, statistics: str) -> Any:
        """The model without adaptation, with the statistics of other images."""
        from keras_transfer.training.batch_norm import adapt_batch_norm

        model = self._plain("plain", 0).model
        if statistics:
            samples = self._samples(statistics)
            # Each batch has both classes.
            order = np.random.default_rng(0).permutation(len(samples))
            adapt_batch_norm(model, self._batches(samples.take(order)))
        return model

    def _own_weights(self) -> Path:
        """The pretrained network with the statistics of the source, as a file of weights."""
        from keras_transfer.networks.network import Network

        path = self.home / "source.weights.h5"
        if not path.exists():
            Network.of(self._adapted("source")).backbone.save_weights(path)
        return path

    def _head(self, network: str, seed: int) -> Any:
        """From pooled features to probabilities, (n, classes) float64."""
        import keras
        from scipy.special import softmax

        model = self._plain(network, seed).model
        (logits,) = model.output.values()
        head = keras.Model(model.get_layer("pool").output, logits)
        return lambda features: softmax(head.predict(features, verbose=0).astype(float), axis=1)

    def _labels(self) -> np.ndarray:
        """(n,) classes of every target; features are in the same order."""
        return np.repeat(np.arange(len(CLASSES)), PHOTOS)

    def _accuracy(self, scores: np.ndarray) -> float:
        return float((scores.argmax(axis=1) == self._labels()).mean())


def _table(path: Path, splits: Any) -> Path:
    with path.open("w", newline="") as file:
        rows = [
            (image.absolute(), name, split)
            for split, images in splits.items()
            for name in CLASSES
            for image in images[name]
        ]
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return path


def _criterion(scores: np.ndarray) -> float:
    from keras_transfer.domains.selection import Evidence, information_maximization

    nothing = np.empty((0, 1))
    return information_maximization(Evidence(nothing, nothing, nothing, nothing, scores))


def _of(run: Any) -> Found:
    document = run.metrics["adaptation"]
    oracle = document.get("oracle", {}).get("by_labels", {}).get("target_accuracy")
    adapted, plain = (document["target"][name]["accuracy"] for name in ("adapted", "source_only"))
    return Found(
        adapted,
        plain,
        document["values"]["adapted"],
        document["kept"] == "adapted",
        oracle,
    )


def rows_of(shift: str, photos: Sequence[float], models: dict[str, list[Found]]) -> list[Any]:
    """A row for each method, and for each way to choose among all of them and none."""
    rows, plain = [], [one.accuracy for one in models["source_only"]]
    for name, each in models.items():
        oracles = [one.oracle for one in each if one.oracle is not None]
        kept = f"{sum(one.kept for one in each)} of {len(each)}"
        more = (kept, float(np.mean(oracles)) if oracles else None)
        own = [one.plain for one in each]
        rows.append([shift, name, *_numbers(photos, own, each), *more])
    others = [name for name in models if name not in PREDICTIONS]
    for way, names, by in (
        ("chosen", [*models], "criterion"),
        (f"chosen, without {', '.join(PREDICTIONS)}", others, "criterion"),
        ("by target labels", [*models], "accuracy"),
    ):
        best = []
        for seed in range(len(plain)):
            values = {name: getattr(models[name][seed], by) for name in names}
            best.append(max(values, key=values.__getitem__))
        each = [models[name][seed] for seed, name in enumerate(best)]
        rows.append([shift, way, *_numbers(photos, plain, each), ", ".join(best), None])
    return rows


def _numbers(
    photos: Sequence[float], plain: Sequence[float], each: Sequence[Found]
) -> tuple[float | None, ...]:
    """Cells from "photos" to "information maximization"."""
    from keras_transfer.evaluation.comparing import spread

    accuracies = [one.accuracy for one in each]
    mean, before, without = (float(np.mean(values)) for values in (accuracies, photos, plain))
    # Where nothing is random there is no interval over seeds.
    low, high = spread(accuracies)["interval"] if len(set(accuracies)) > 1 else (None, None)
    criterion = float(np.mean([one.criterion for one in each]))
    share = (mean - without) / (before - without)
    return before, without, mean, low, high, share, criterion


if __name__ == "__main__":
    main()

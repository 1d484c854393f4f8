"""Classification of images: a new head on a pretrained backbone, then tuned block by block."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from keras_transfer import quiet, runs, seeds
from keras_transfer.cache import cache_dir
from keras_transfer.config.groups import (
    Augment,
    ClassName,
    Count,
    Decay,
    Ensemble,
    Head,
    Imbalance,
    OwnWeights,
    Portion,
    Rate,
    Split,
    Stage,
    Symmetric,
    Views,
    row_of,
)
from keras_transfer.config.recipe import Recipe, readable
from keras_transfer.data import sources, splits
from keras_transfer.data.balance import class_weights
from keras_transfer.data.copies import families, report_copies
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed, UnknownName
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.tables import Table
from keras_transfer.training.monitors import MONITORS
from keras_transfer.training.optimizers import SCHEDULES
from keras_transfer.workflows.checks import check_accumulation, check_mixing, check_stages
from keras_transfer.workflows.ensembles import check_ensemble, fitting_of, members
from keras_transfer.workflows.hyperrule import check_hyperrule, hyperrule
from keras_transfer.workflows.imbalance import check_imbalance
from keras_transfer.workflows.pretrained import load_pretrained, resolve_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

    from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["Classify"]

logger = logging.getLogger("keras_transfer")

ROUTES: Table[object] = Table("schedule", {**SCHEDULES, "bit": hyperrule})


class Classify(Recipe):
    """Fine-tune a pretrained network to tell classes of images apart."""

    data_dir: str | None = Field(None, description="where TFDS data sets lie")
    classes: tuple[ClassName, ...] | None = Field(
        None, description="keep these only, in this order"
    )
    split: Split = Field(Split(), description="how data without parts are divided")
    limit: Count | None = Field(None, description="use a class-balanced subset of so many images")
    on_bad: Literal["fail", "skip"] = Field("fail", description="what to do about bad files")
    strict: bool = Field(
        False, description="fail where an image or group lies on two sides of a split"
    )

    backbone: Annotated[str, row_of(BACKBONES)] = Field(description="name of the network")
    variant: dict[str, float | bool] = Field({}, description="such as {alpha: 0.35} of a MobileNet")
    weights: str = Field("imagenet", description="imagenet, none, a file, run:DIR or recipe:NAME")
    image_size: Count | None = Field(None, description="side in pixels; the backbone's own if none")
    resize: Literal["stretch", "crop", "pad"] = Field("stretch", description="how to make a square")
    batch_norm: Literal["frozen", "train"] = Field(
        "frozen", description="whether the backbone's batch normalisation trains when unfrozen"
    )
    head: Head = Field(Head(), description="what is put on the backbone")

    augment: Augment = Field(Augment(), description="random changes to the train split")
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = Field(
        (Stage("head"),), description="what is trained, one after the other"
    )
    epochs: Count | None = Field(None, description="of every stage, instead of what the stages say")
    lr: Rate = Field(
        None,
        description="of the first stage, the others in proportion; or auto, for the first alone",
    )
    schedule: Annotated[str, row_of(ROUTES)] | None = Field(
        None, description="of every stage; or bit, which also finds epochs, rate, size and mixup"
    )
    layer_decay: Decay | None = Field(
        None, description="of every stage: factor of the rate from each block to the one before it"
    )
    views: Views | None = Field(
        None, description="of every stage: auto, clean, fresh, or how many augmented ones are kept"
    )
    batch_size: Count = Field(32, description="images a step, over all devices")
    imbalance: Imbalance = Field("auto", description="what is done about classes of unlike size")
    class_weight: dict[ClassName, Symmetric] | OwnWeights | None = Field(
        None, description="{class: weight}, of your own instead of those of imbalance"
    )
    mixup: Symmetric = Field(0.0, description="alpha, such as 0.2, of blending images by twos")
    cutmix: Portion = Field(
        0.0, description="alpha, such as 1, of pasting pieces of images into others"
    )
    mixup_off_epoch: Count | None = Field(
        None, description="mixup and cutmix in so many first epochs of a stage; in all if none"
    )
    ensemble: Ensemble = Field(
        "none", description="bagging:10 averages ten heads; boosting compares trees on features"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of a label that all classes divide evenly"
    )
    monitor: Annotated[str, row_of(MONITORS)] = Field(
        "val_loss", description="metric that chooses the best epoch"
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="of the arithmetic; weights stay float32"
    )
    strategy: Literal["auto", "one_device", "mirrored"] = Field(
        "auto", description="auto uses all GPUs there are"
    )
    engine: Literal["auto", "keras", "openvino", "none"] = Field(
        "auto", description="what runs the frozen part, once; none: all runs in every epoch"
    )
    engine_error: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01, description="largest relative error of features; 0: float32 only"
    )
    cache: bool = Field(True, description="keep features of the frozen part for other runs")
    deterministic: bool = Field(False, description="repeatable on GPUs too, somewhat slower")
    baseline: bool = Field(False, description="also train without pretraining, for comparison")

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that make no sense in a stage, where they come from outside of it."""
        try:
            assert self.planned
        except ValidationError as error:
            raise readable(error, Stage) from None
        check_mixing(self)
        check_stages(self)
        if self.strategy == "mirrored":
            check_accumulation(self)
        check_imbalance(self)
        check_ensemble(self)
        check_hyperrule(self)

    @property
    def planned(self) -> tuple[Stage, ...]:
        """The stages as they are run: with ``epochs``, ``lr``, ``views`` and such put in."""
        said = self.lr if isinstance(self.lr, float) else None  # auto is found before training
        factor = 1.0 if said is None else said / self.stages[0].learning_rate
        schedule = None if self.schedule == "bit" else self.schedule
        return tuple(
            Stage.model_validate(
                {
                    **stage.model_dump(),
                    "epochs": self.epochs or stage.epochs,
                    "learning_rate": stage.learning_rate * factor,
                    "schedule": schedule or stage.schedule,
                    "views": self.views or stage.views,
                    "layer_decay": self.layer_decay or stage.layer_decay,
                }
            )
            for stage in self.stages
        )

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Check, read, train, evaluate; everything is written into the folder."""
        quiet.import_tensorflow()
        from keras_transfer.training.distributed import session, strategy

        clock: dict[str, float] = {}
        weights = resolve_weights(self.weights)
        seed = seeds.stream(self.seed, "weights")
        with session(seed=seed, precision=self.precision, deterministic=self.deterministic):
            devices = strategy(self.strategy, self.batch_size)
            if devices.num_replicas_in_sync > 1:
                check_accumulation(self)
            recipe, samples = self, None
            if self.schedule == "bit":
                with _timed(clock, "data"):
                    samples = self._samples(folder, source)
                    recipe = hyperrule(self, samples)
            with _timed(clock, "network"), devices.scope():
                backbone = recipe._backbone(weights)
            if samples is None:
                with _timed(clock, "data"):
                    samples = self._samples(folder, source)
            with _timed(clock, "training"), devices.scope():
                fitting = recipe._fit(folder, backbone, samples, devices.num_replicas_in_sync)
            with _timed(clock, "evaluation"):
                metrics = recipe._evaluate(folder, samples, fitting)
        if self.baseline:
            with _timed(clock, "baseline"):
                metrics["baselines"]["scratch"] = recipe._from_scratch(folder / "baseline", source)
        runs.write_json(folder / "metrics.json", metrics)
        for home in (folder, *folder.glob("members/*")):
            (home / "state.npz").unlink(missing_ok=True)
        clock["features"] = sum(report["seconds"] for report in fitting.reports().values())
        data = runs.fingerprint(folder / "split.csv")
        return {"seconds": clock, "features": fitting.reports(), "data": data}

    def check_network(self) -> None:
        """Build the network, with random weights, to find out what is wrong with its settings.

        Raises:
            BadConfiguration: Such as a block to unfreeze that the backbone does not have.
        """
        self._backbone("none")

    def _backbone(self, weights: str) -> keras.Model:
        """Build and fill the backbone; whatever is wrong with the network shows before the data."""
        from keras_transfer.networks.blocks import blocks
        from keras_transfer.networks.freezing import freeze
        from keras_transfer.networks.heads import build_head

        backbone = build_backbone(self.backbone, image_size=self.image_size, variant=self.variant)
        build_head(2, **self.head.model_dump())
        for number, stage in enumerate(self.stages):
            try:
                freeze(backbone, stage.unfreeze, self.batch_norm)
            except UnknownName as error:
                raise BadConfiguration(
                    f"stages.{number}.unfreeze: {error} "
                    f"The blocks of {self.backbone} are: {', '.join(blocks(backbone))}."
                ) from None
        load_pretrained(backbone, weights, name=self.backbone, variant=self.variant)
        return backbone

    def _samples(self, folder: Path, source: Any) -> Samples:
        """Read the table of samples, check every image, and decide what is trained on."""
        from keras_transfer.data.scan import drop_invalid, scan

        own = seeds.stream(self.seed, "split")
        seed = own if self.split.seed is None else seeds.stream(self.split.seed, "split")
        samples = sources.read(source, Path(self.data_dir) if self.data_dir else None)
        if self.classes:
            samples = splits.keep_classes(samples, self.classes)
        if self.class_weight:  # wrong names show now
            class_weights(self.class_weight, samples.classes, samples.counts())
        if self.limit:
            samples = splits.limit(samples, self.limit, seed)
        found = scan(samples, cache_dir())
        runs.write_bad_files(folder / "bad_files.csv", samples, found.reasons)
        samples = drop_invalid(samples, found, self.on_bad)
        if (found.reasons != "").any():
            logger.warning("Their paths and reasons are in %s", folder / "bad_files.csv")
        self._check_leaks(samples)
        asked = self.split.model_dump(exclude={"seed"})
        samples = splits.split(samples, seed=seed, train_seed=own, **asked)
        report_copies(samples)
        runs.write_split(folder / "split.csv", samples)
        runs.write_json(folder / "classes.json", samples.classes)
        return samples

    def _check_leaks(self, samples: Samples) -> None:
        for what, cases, leak in (
            ("The same image lies on two sides of the split", splits.leaks(samples), True),
            ("A group lies on two sides of the split", splits.torn_groups(samples), True),
            ("The same image has two labels", splits.conflicts(samples), False),
        ):
            if not cases:
                continue
            found = BadData(f"{what}, {len(cases)} times:", cases)
            if self.strict and leak:
                raise CheckFailed(f"{found}\nKeep one side of each, or leave out --strict.")
            logger.warning("Warning: %s", found)

    def find_rate(self, folder: Path) -> dict[str, Any]:
        """Find a learning rate by a sweep of the first stage, which is where a run would begin.

        Args:
            folder: Where ``lr_find.csv`` and such go.

        Returns:
            "learning_rate", which ``lr="auto"`` would take, its "rule", and those of all "rules".

        Raises:
            CheckFailed: The loss falls at no rate.
        """
        quiet.import_tensorflow()
        from keras_transfer.training.distributed import session, strategy

        weights, seed = resolve_weights(self.weights), seeds.stream(self.seed, "weights")
        with session(seed=seed, precision=self.precision, deterministic=self.deterministic):
            devices = strategy(self.strategy, self.batch_size)
            if devices.num_replicas_in_sync > 1:
                check_accumulation(self)
            with devices.scope():
                backbone = self._backbone(weights)
            samples = self._samples(folder, self.data)
            with devices.scope():
                replicas = devices.num_replicas_in_sync
                plain = self.changed(ensemble="none")  # of one head: each member has its own
                return plain._fitting(folder, backbone, samples, replicas).find_rate()

    def _fit(
        self, folder: Path, backbone: keras.Model, samples: Samples, replicas: int
    ) -> StageRunner:
        fitting = self._fitting(folder, backbone, samples, replicas)
        fitting.run()
        return fitting

    def _fitting(
        self, folder: Path, backbone: keras.Model, samples: Samples, replicas: int
    ) -> StageRunner:
        from keras_transfer.data.batches import Loading
        from keras_transfer.networks.heads import build_classifier, build_head

        settings = self.head.model_dump()
        head = build_head(len(samples.classes), members=members(self.ensemble), **settings)
        preprocessing = BACKBONES[self.backbone].preprocessing
        model = build_classifier(backbone, head, preprocessing=preprocessing)
        loading = Loading(model.input_shape[1], self.resize, self.batch_size, replicas)
        return fitting_of(self.ensemble)(self, folder, model, samples, loading)

    def _evaluate(self, folder: Path, samples: Samples, fitting: StageRunner) -> dict[str, Any]:
        """Metrics of the best model from predictions made once."""
        from keras_transfer.evaluation import metrics as compute
        from keras_transfer.evaluation.predictions import write_curves, write_predictions

        metrics: dict[str, Any] = {}
        predictions, counts = fitting.predictions(), samples.split("train").counts()
        for name, file in (("val", "predictions_val.csv"), ("test", "predictions.csv")):
            split, found = samples.split(name), predictions[name]
            write_predictions(folder / file, split.keys, split.labels, found, split.classes)
            metrics[name] = compute.classification_metrics(
                split.labels, found, split.classes, counts, families(split.digests)
            )
        test = samples.split("test")
        metrics["baselines"] = {
            "majority": compute.majority_baseline(counts, test.labels, test.classes),
            **fitting.baselines(),
        }
        curves = compute.precision_recall_curves(test.labels, predictions["test"], test.classes)
        write_curves(folder / "pr_curves.csv", curves)
        return metrics

    def _from_scratch(self, folder: Path, source: Any) -> dict[str, Any]:
        """Test metrics of the same budget of epochs without pretraining, everything trained."""
        first = self.planned[0]
        total = sum(stage.epochs for stage in self.planned)
        whole = {"name": "scratch", "epochs": total, "unfreeze": "all"}
        scratch = self.changed(
            weights="none",
            batch_norm="train",
            baseline=False,
            ensemble="none",
            # There are no features to make others up from while everything is trained.
            imbalance="oversample" if self.imbalance == "smote" else self.imbalance,
            stages=[first.model_dump(mode="json") | whole],
            epochs=None,
            lr="auto" if self.lr == "auto" else None,
            schedule=None,
        )
        try:
            if not runs.is_done(folder):
                scratch.run_in(folder, "scratch", source)
        except CheckFailed as error:  # the run itself is done, and must not be lost by this
            logger.warning("Warning: the baseline failed. %s", error)
            return {"error": str(error)}
        return runs.Run(folder).metrics["test"]


@contextmanager
def _timed(clock: dict[str, float], what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    clock[what] = round(time.perf_counter() - began, 3)

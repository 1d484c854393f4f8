"""A search over settings: trials are separate runs, compared on their val split (Optuna)."""

from __future__ import annotations

import filecmp
import itertools
import logging
import math
import random
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from keras_transfer import quiet, runs
from keras_transfer.atomic import copy, write_text
from keras_transfer.config.upgrade import versioned
from keras_transfer.errors import BadConfiguration, BadData, CheckFailed, TransferError
from keras_transfer.reports.writing import after_study
from keras_transfer.runs.directory import locked_log
from keras_transfer.runs.searches import COMPLETE, FAILED, PRUNED, RUNNING, Record, Trial
from keras_transfer.studies.spaces import Setting, with_values
from keras_transfer.training.monitors import mode
from keras_transfer.training.reports import listening
from keras_transfer.workflows.candidates import check_named
from keras_transfer.workflows.comparisons import reusing
from keras_transfer.workflows.finetune import FineTune

if TYPE_CHECKING:
    import optuna

__all__ = ["Search"]

UNPRUNED = 4
"""Trials that finish before any is pruned."""

MOST = 10_000
"""Combinations of choices that are looked through for one that was not tried."""

NETWORK = (
    *("backbone", "variant", "features", "image_size", "head"),
    *("unfreeze", "trainable", "lora", "batch_norm"),
)
"""Settings whose values can only be validated by building the network."""

logger = logging.getLogger("keras_transfer")


class Search:
    """A search in a folder; the same search resumes it.

    Every trial draws by a seed of its own from what is known of those before it, so that a search
    that was stopped tries what it would have tried.

    Args:
        recipe: The recipe to tune.
        name: Of the recipe.
        space: The settings that are tried.
        folder: ``search.json`` in it holds the trials, ``<n>/`` the run of each.

    Raises:
        BadConfiguration: Optuna is missing, or the folder holds another search or something else.
    """

    def __init__(self, recipe: FineTune, name: str, space: Sequence[Setting], folder: Path):
        check_named(recipe.backbone)  # or each trial could have a backbone of its own
        self.recipe, self.name, self.space, self.folder = recipe, name, space, folder
        self.monitor = recipe.chosen_by
        self.better = {"min": min, "max": max}[mode(self.monitor)]
        self.optuna = _optuna()
        if not (folder / "search.json").exists():
            runs.new_folder(name, folder, not_inside=recipe.data.source)
        requested = {
            "recipe": versioned(recipe.settings()),
            "search": {setting.path: [setting.how, *setting.values] for setting in space},
        }
        self.record = Record(folder, requested)
        if not self.record.path.exists():
            self.record.write()

    @property
    def best(self) -> Trial | None:
        """The best finished trial."""
        ended = [trial for trial in self.record.trials if trial.value is not None]
        pick: Any = self.better
        return pick(ended, key=lambda trial: trial.value) if ended else None

    def run(self, trials: int, budget: float | None = None) -> Trial:
        """Run until this many trials have ended; results are written after each.

        Args:
            trials: Total number, including earlier calls.
            budget: Seconds after which no new trial starts; at least one does.

        Returns:
            The best of all.

        Raises:
            CheckFailed: No trial came to its end.
            BadData, BadWeights: As a run of the recipe raises them; the search can go on.
        """
        handler = locked_log(self.folder)
        try:
            quiet.import_tensorflow()
            # Once: a resumed search has built its networks before.
            if not self.record.trials:
                self._check_networks()
            self.record.write()
            # monotonic: the budget must not depend on changes of the clock.
            began = time.monotonic()
            while len(self.record.over) < trials and not _late(began, budget):
                trial = self._next()
                if trial is None:
                    count = math.prod(len(setting.values) for setting in self.space)
                    logger.info("All %s combinations have been tried.", count)
                    break
                self._try(trial)
                self._write()
            self._write()
        except TransferError:
            self._leave_no_trace()
            raise
        except KeyboardInterrupt:
            logger.warning("The same command resumes the search in %s.", self.folder)
            raise
        finally:
            logger.removeHandler(handler)
            handler.close()
        after_study(self.folder)
        return self._winner()

    def _winner(self) -> Trial:
        if self.best is None:
            reasons = [trial.reason for trial in self.record.over if trial.reason]
            last = f" The last one: {reasons[-1]}" if reasons else ""
            raise CheckFailed(
                f"None of {len(self.record.over)} trials finished; {self.folder}/trials.csv "
                f"says why.{last}"
            )
        return self.best

    def _next(self) -> Trial | None:
        """The interrupted trial, or a new one; None where every combination has been tried."""
        remaining = [trial for trial in self.record.trials if trial.state == RUNNING]
        if remaining:
            return remaining[0]
        number = len(self.record.trials)
        drawn = self._untried(self._study(number).ask(self._distributions()).params, number)
        if drawn is None:
            return None
        values = {setting.path: setting.value(drawn[setting.path]) for setting in self.space}
        self.record.trials.append(Trial(number, drawn, values))
        # Before it runs, so that a trial that is killed is resumed with the same values.
        self.record.write()
        return self.record.trials[-1]

    def _untried(self, drawn: dict[str, Any], number: int) -> dict[str, Any] | None:
        """What was drawn; of choices alone another combination, if this one has been tried."""
        tried = [trial.drawn for trial in self.record.trials]
        if drawn not in tried or any(setting.how != "choice" for setting in self.space):
            return drawn
        places = itertools.product(*(range(len(setting.values)) for setting in self.space))
        paths = [setting.path for setting in self.space]
        rest = (dict(zip(paths, one, strict=True)) for one in places)
        left = [one for one in itertools.islice(rest, MOST) if one not in tried]
        return random.Random(1000 * self.recipe.seed + number).choice(left) if left else None

    def _try(self, trial: Trial) -> None:
        """Run or resume a trial, and record its end."""
        import tensorflow as tf

        message = ", ".join(f"{path} = {value}" for path, value in trial.values.items())
        logger.info("Trial %s: %s", trial.number, message)
        try:
            if not self._known(trial):
                self._run(trial)
                trial.state, trial.value = COMPLETE, self.better(trial.metrics)
        except self.optuna.TrialPruned as pruned:
            trial.state, trial.reason = PRUNED, str(pruned)
        # Values that diverge, do not go together, or are too large for the machine are a result.
        except (CheckFailed, BadConfiguration, tf.errors.ResourceExhaustedError) as error:
            trial.state, trial.reason = FAILED, str(error).splitlines()[0]
        self.record.write()
        message = trial.reason
        if not message and trial.value is not None:
            message = f"{self.monitor} {trial.value:.4g}"
        logger.info("Trial %s is %s. %s", trial.number, trial.state, message)

    def _known(self, trial: Trial) -> bool:
        """Copy the result of an earlier trial with the same values."""
        # Choices and whole numbers are often drawn twice; a second run would show nothing new.
        for earlier in self.record.over:
            if earlier.values == trial.values:
                trial.state, trial.value, trial.metrics = (
                    earlier.state,
                    earlier.value,
                    earlier.metrics,
                )
                trial.reason = f"The same as trial {earlier.number}. {earlier.reason}".strip()
                return True
        return False

    def _run(self, trial: Trial) -> None:
        import keras

        # Without models for comparison, which would multiply the time of each trial.
        recipe = with_values(self.recipe, trial.values).changed(baselines=("none",))
        folder = self.folder / str(trial.number)
        if not runs.is_done(folder):  # it may have been cut off between its end and our note of it
            keras.utils.clear_session()  # reset the counters of layer names
            others = [self.folder / str(other.number) for other in self.record.over]
            told = listening(partial(self._listen, trial, self._running(trial)))
            with reusing(others), told:
                recipe.run_in(folder, self.name, recipe.data.source, report=False)
        trial.metrics = [float(row[self.monitor]) for row in runs.Run(folder).history]

    def _running(self, trial: Trial) -> optuna.Trial:
        """Optuna's trial, for pruning."""
        study = self._study(trial.number)
        # The next `ask` then returns the recorded values instead of new ones.
        study.enqueue_trial(trial.drawn)
        return study.ask(self._distributions())

    def _listen(self, trial: Trial, running: optuna.Trial, rows: list[dict[str, Any]]) -> None:
        """After an epoch: compare the data with the first trial's and the metric with all trials.

        Raises:
            BadData: The data have changed since the search began.
            TrialPruned: The trial is worse than half of the others were at this epoch.
        """
        self._check_data(self.folder / str(trial.number) / "split.csv")
        metrics = [float(row[self.monitor]) for row in rows]
        # Optuna warns of a step that is reported twice.
        for epoch in range(len(trial.metrics), len(metrics)):
            running.report(metrics[epoch], epoch + 1)
        trial.metrics = metrics
        if running.should_prune():
            raise self.optuna.TrialPruned(
                f"Pruned after epoch {len(metrics)}: worse than the median of the trials."
            )

    def _check_data(self, split: Path) -> None:
        first = self.folder / "split.csv"
        if not first.exists():
            copy(split, first)
        # shallow=True would compare sizes and times only.
        elif not filecmp.cmp(first, split, shallow=False):
            raise BadData(
                f"The data are not those that the search in {self.folder} began with (see "
                f"{first}); put them back, or start another search with --out."
            )

    def _study(self, number: int) -> optuna.Study:
        """Optuna's study with the trials before this one."""
        optuna = self.optuna
        study = optuna.create_study(
            direction={min: "minimize", max: "maximize"}[self.better],
            # A seed per trial, so that no state of a sampler has to be stored.
            sampler=optuna.samplers.TPESampler(seed=1000 * self.recipe.seed + number),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=1),
        )
        states = optuna.trial.TrialState
        ended = {COMPLETE: states.COMPLETE, PRUNED: states.PRUNED, FAILED: states.FAIL}
        for trial in self.record.trials[:number]:
            known = optuna.trial.create_trial(
                state=ended[trial.state],
                value=trial.value,
                params=trial.drawn,
                distributions=self._distributions(),
                intermediate_values=dict(enumerate(trial.metrics, 1)),
            )
            study.add_trial(known)
        return study

    def _distributions(self) -> dict[str, Any]:
        return {setting.path: setting.distribution for setting in self.space}

    def _check_networks(self) -> None:
        """Build the networks of all choices, to find e.g. wrong block names now."""
        recipes = [self.recipe]
        for setting in self.space:
            if setting.how == "choice" and set(setting.path.split(".")) & set(NETWORK):
                recipes += [
                    with_values(self.recipe, {setting.path: candidate})
                    for candidate in setting.values
                ]
        for candidate in recipes:
            candidate.check_network()

    def _write(self) -> None:
        """Write ``trials.csv``, ``trials.png`` and ``best.yaml``; the best keeps its model."""
        over, best = self.record.over, self.best
        if not over:
            return
        paths = [setting.path for setting in self.space]
        self.record.write_table(self.folder / "trials.csv", self.monitor, paths)
        self._plot(over)
        if best is not None:
            settings = versioned(with_values(self.recipe, best.values).settings())
            # All settings, so that a later default cannot change what best.yaml means.
            text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
            write_text(self.folder / "best.yaml", text)
        for trial in over:
            if trial is not best:
                for suffix in ("keras", "npz"):
                    for path in (self.folder / str(trial.number)).glob(f"*.{suffix}"):
                        path.unlink()

    def _plot(self, over: list[Trial]) -> None:
        try:
            from keras_transfer.evaluation.plots import plot_trials
        except ImportError:
            return
        nan = float("nan")
        plot_trials(
            self.folder / "trials.png",
            [trial.metrics for trial in over],
            {
                setting.path: [trial.values[setting.path] for trial in over]
                for setting in self.space
            },
            [self.better(trial.metrics) if trial.metrics else nan for trial in over],
            monitor=self.monitor,
            logarithmic=[setting.path for setting in self.space if setting.how == "log"],
        )

    def _leave_no_trace(self) -> None:
        """Remove the folder if nothing was trained."""
        if not any(path.is_dir() for path in self.folder.iterdir()):
            shutil.rmtree(self.folder)


def _late(began: float, budget: float | None) -> bool:
    return budget is not None and time.monotonic() - began >= budget


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise BadConfiguration("tune needs Optuna: pip install 'keras_transfer[tune]'.") from None
    # Otherwise it logs every trial too, in words of its own.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna

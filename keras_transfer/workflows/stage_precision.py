"""The precision in which a stage trains.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging

import keras

from keras_transfer.cache import cache_dir
from keras_transfer.clock import phase
from keras_transfer.config.stages import Stage
from keras_transfer.features.memory import Memory
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.features.store import FOLDER
from keras_transfer.training.compiling import compile_stage
from keras_transfer.training.precision_choice import choose_precision
from keras_transfer.training.trainer import Trainer

__all__ = ["stage_precision"]

logger = logging.getLogger("keras_transfer")


def stage_precision(
    stage: Stage, asked: str, trainer: Trainer, batches: StageBatches, steps: int
) -> str:
    """The precision of a stage's training steps, chosen by measurement if that is asked for.

    It is part of the trainer's state: a resumed run goes on as it began.

    Args:
        stage: Its settings; a solved one takes no steps.
        asked: "auto", "float32", "mixed_bfloat16" or "mixed_float16".
        trainer: Its model and loss are measured.
        batches: Of the stage.
        steps: Batches per epoch.
    """
    known = trainer.done["precision"]
    if stage.name not in known:
        if stage.solved:
            precision = "float32"
        elif asked == "auto":
            precision = _chosen(trainer, batches, steps * stage.epochs)
        else:
            precision = asked
        known[stage.name] = precision
    return known[stage.name]


def _chosen(trainer: Trainer, batches: StageBatches, steps: int) -> str:
    memory = Memory(cache_dir() / FOLDER / "precisions.json", "precisions are measured again")
    model = batches.model or trainer.model
    fitted = compile_stage(model, trainer.terms, keras.optimizers.SGD(0.0))
    try:
        with phase("precision"):
            return choose_precision(fitted, batches.train(0), steps, memory)
    except Exception as error:  # any error of a kernel that half precision does not have
        logger.debug("Training stays in float32: %s", error)
        return "float32"

"""What all recipes with stages share: their settings, their session, what their input learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from keras_transfer import quiet, seeds
from keras_transfer.clock import phase
from keras_transfer.config import shorthand
from keras_transfer.config.groups import Runtime
from keras_transfer.config.stages import Stage
from keras_transfer.config.tree import nested
from keras_transfer.data.samples import Samples
from keras_transfer.group import Group
from keras_transfer.inputs.base import Input
from keras_transfer.workflows.reading import learn

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Stages", "completed", "learnt_by", "started"]

Stages = Annotated[tuple[Stage, ...], Field(min_length=1, description="training stages, in order")]


class _Staged(Group):
    """The stages only; shorthand is applied to them before the other settings are checked."""

    stages: Stages = (Stage("head"),)


def completed(model: type[Group], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in their groups, with shorthand applied to the stages.

    Args:
        model: The recipe's class.
        settings: By name.
    """
    values = shorthand.checked(settings)
    result = nested(model, {k: v for k, v in settings.items() if k not in shorthand.SHORTHAND})
    shorthand.for_texts(result)
    if values:
        stages = _Staged(**{k: v for k, v in result.items() if k == "stages"}).stages
        full = [stage.model_dump(mode="json") for stage in stages]
        result["stages"] = shorthand.apply(full, values)
    return result


@contextmanager
def started(
    runtime: Runtime, batch_size: int, seed: int
) -> Iterator[tuple[tf.distribute.Strategy, int]]:
    """Set seed and devices; gives the strategy and its number of replicas.

    Args:
        runtime: Devices, and whether kernels are repeatable.
        batch_size: Examples per step, over all devices.
        seed: The recipe's.
    """
    with phase("imports"):
        quiet.import_tensorflow()
        from keras_transfer.training.distributed import session, strategy

    stream = seeds.stream(seed, "weights")
    with session(seed=stream, deterministic=runtime.deterministic):
        devices = strategy(runtime.strategy, batch_size)
        yield devices, devices.num_replicas_in_sync


def learnt_by(given: Input, folder: Path, samples: Samples, brought: Any) -> Any:
    """Fit an input on the train split, e.g. a vocabulary, and save its state.

    Args:
        given: The input.
        folder: The run directory.
        samples: With their splits.
        brought: What the weights bring instead; None: nothing.
    """
    if not given.learns or brought is not None:
        return brought
    learnt = learn(given, samples)
    given.save(learnt, folder)
    return learnt

"""Training targets of a recipe: those of its objectives and those that its method adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from keras_transfer.config.groups import Batches
from keras_transfer.data.class_groups import ClassGroups
from keras_transfer.data.samples import Samples
from keras_transfer.methods.adabn import AdaBN
from keras_transfer.methods.adaptation import Adaptation, NetworkAdaptation
from keras_transfer.methods.base import ExtraTerm, Method
from keras_transfer.methods.distill import Distill
from keras_transfer.methods.setfit import SetFit
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.workflows.adaptation_domain import TargetDomain
from keras_transfer.workflows.adapted_targets import AdaptedTargets, SourceTargets
from keras_transfer.workflows.distillation import Teacher
from keras_transfer.workflows.imbalance import ImbalanceStrategy
from keras_transfer.workflows.targets import Targets

__all__ = ["method_targets"]


def method_targets(
    method: Method,
    objectives: Mapping[str, Objective],
    train: Samples,
    batches: Batches,
    strategy: ImbalanceStrategy,
    *,
    bound: Any,
    cache: bool,
    domain: Callable[[Adaptation], TargetDomain],
) -> Targets:
    """The targets of training.

    Args:
        method: How is learnt.
        objectives: By the name of the output.
        train: The train split.
        batches: Their size, MixUp and CutMix.
        strategy: Strategy for class imbalance.
        bound: The input; it prepares examples.
        cache: Whether the outputs of a teacher are cached.
        domain: Reads the target domain, for a method that adapts to one.
    """
    if isinstance(method, SetFit):
        sampling = ClassGroups(train.labels, train.classes, batches.batch_size, method.iterations)
        strategy = replace(strategy, sampling=sampling, length=len(sampling))
    extra = _extra(method, objectives, train, cache)
    if isinstance(method, AdaBN):
        targets = SourceTargets(objectives, train, batches, strategy, extra)
        targets.domain = domain(method)
        return targets
    if isinstance(method, NetworkAdaptation):
        return AdaptedTargets(objectives, train, batches, strategy, extra, domain(method), bound)
    return Targets(objectives, train, batches, strategy, extra, method.label_weight)


def _extra(
    method: Method, objectives: Mapping[str, Objective], train: Samples, cache: bool
) -> tuple[ExtraTerm, ...]:
    """The terms that the method adds to the loss."""
    if not method.outputs:
        return ()
    ((output, objective),) = objectives.items()
    labels = labels_of(train, output)
    if isinstance(method, Distill):
        return (Teacher(method, objective, output, labels, cache).term(),)
    return method.extra_terms(output, objective, labels)

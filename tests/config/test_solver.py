"""Which stages are solved: as asked, and by ``solver: auto``."""

import pytest

from keras_transfer import BadConfiguration, Classify, FineTune
from keras_transfer.config.solver_checks import resolved
from keras_transfer.studies import curves, spaces

AUTO = {"name": "head", "solver": "auto", "epochs": 4, "learning_rate": 0.01, "patience": 2}
TUNE = {"name": "tune", "unfreeze": "block5", "learning_rate": 1e-5}
RECIPE = Classify(
    data="d", backbone="vgg16", head={"dropout": 0.3}, stages=[AUTO, TUNE], imbalance="none"
)


def solvers(recipe, fits=True):
    return [stage.optimizer.solver for stage in resolved(recipe, fits)]


def test_auto_solves_a_linear_head_and_leaves_the_stage_that_tunes():
    head, tune = resolved(RECIPE, True)

    assert head.solved
    assert not tune.solved
    assert tune == RECIPE.stages[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"units": (8,)},
        {"engine": "none"},
        {"method": "distill:run:teacher"},
        {"imbalance": "focal"},
        {"label_smoothing": 0.1},
        {"mixup": 0.2},
        {"cutmix": 1},
        {"l2": 0.01},
        {"lr": "auto"},
        {"views": "fresh"},
        {"schedule": "bit"},
        {"stages": [AUTO, TUNE | {"carry": True}]},
        {"stages": [AUTO | {"unfreeze": "block5"}]},
        {"method": "bagging:2", "stages": [AUTO]},
    ],
)
def test_auto_trains_by_the_stages_own_settings_where_something_else_is_asked_for(changes):
    recipe = RECIPE.changed(**changes)
    first = next(resolved(recipe, True))

    assert first.optimizer.solver is None
    assert first.optimizer.name == "adam"
    assert (first.epochs, first.learning_rate) == (
        recipe.stages[0].epochs,
        recipe.stages[0].learning_rate,
    )


@pytest.mark.parametrize(
    "objective", ["multilabel", "regression", {"kind": {"type": "classification"}}]
)
def test_auto_trains_the_heads_of_other_objectives(objective):
    recipe = FineTune(data="d", backbone="vgg16", objective=objective, stages=[AUTO])

    assert solvers(recipe) == [None]


def test_auto_leaves_large_problems_to_the_optimizer():
    assert solvers(RECIPE, fits=False) == [None, None]


def test_shorthand_changes_the_stages_of_auto_as_any_others():
    recipe = RECIPE.changed(epochs=2, lr=0.02)

    assert [stage.epochs for stage in recipe.stages] == [2, 2]
    assert [stage.learning_rate for stage in recipe.stages] == [0.02, 2e-5]


def test_what_a_solver_has_no_use_for_is_refused_if_it_is_asked_for_by_name():
    with pytest.raises(BadConfiguration, match="solver = logistic has no epochs"):
        RECIPE.changed(stages=[AUTO | {"solver": "logistic"}])


def test_a_learning_curve_gives_more_epochs_to_the_stages_that_are_trained():
    recipe = RECIPE.changed(stages=[{"name": "head", "solver": "logistic"}, TUNE])

    smaller = curves._smaller(recipe, 32, 64)

    assert smaller.stages[0] == recipe.stages[0]
    assert smaller.stages[1].epochs == 2 * recipe.stages[1].epochs


def test_a_search_takes_the_rate_of_the_first_stage_that_is_trained():
    recipe = RECIPE.changed(stages=[{"name": "head", "solver": "logistic"}, TUNE])
    (rate, *_) = spaces.read_space([], recipe, recipe)

    assert (rate.path, rate.values) == ("lr", (1e-6, 1e-4))
    with pytest.raises(BadConfiguration, match="fixed by another option"):
        spaces.read_space(["lr=log:1e-6:1e-4"], recipe.changed(lr=1e-4), recipe)

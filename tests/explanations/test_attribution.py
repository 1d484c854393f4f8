"""Attributions of small networks that are worked out by hand, and of a trained one."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from patches import COLOURS, SIDE, patch_run, patched  # noqa: F401  (a fixture)
from scipy.integrate import trapezoid
from scipy.ndimage import uniform_filter

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.explanations.asked import Asked
from keras_transfer.explanations.attribution import METHODS, as_heat, patches
from keras_transfer.explanations.deletion import deletion, random_map, removal_order
from keras_transfer.explanations.images import ImageExplainer
from keras_transfer.explanations.sanity import correlation, randomized, sanity_check
from keras_transfer.explanations.subject import FILL, Subject
from keras_transfer.networks.label_curves import with_curves
from keras_transfer.networks.learner_layers import NearestNeighbors
from keras_transfer.networks.network import Network
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import Output

rng = np.random.default_rng(0)


def subject_of(layers, activation, size=8):
    """A network whose backbone is the identity, and whose outputs are those of the layers."""
    given = keras.Input((size, size, 3), name="pixels")
    inner = keras.Input((size, size, 3))
    backbone = keras.Model(inner, keras.layers.Identity()(inner), name="backbone")
    x = backbone(given)
    for layer in layers:
        x = layer(x)
    model = keras.Model({"pixels": given}, {"label": x})
    return Subject(Network(model, model, {"backbone": backbone}), "label", activation)


def linear(units, activation):
    """All pixels flat, and one dense layer, whose kernel is (size, size, 3, units)."""
    dense = keras.layers.Dense(units)
    subject = subject_of([keras.layers.Flatten(), dense], activation)
    kernel = rng.normal(size=(192, units)).astype("float32") / 1000
    dense.set_weights([kernel, rng.normal(size=units).astype("float32")])
    return subject, kernel.reshape(8, 8, 3, units)


def images(n, size=8):
    return rng.integers(0, 256, (n, size, size, 3)).astype("float32")


def test_integrated_gradients_of_a_linear_model_are_exact():
    subject, kernel = linear(2, "linear")
    x, units = images(3), np.array([0, 1, 0], "int32")

    found = METHODS["integrated_gradients"].make(subject)(x, units)

    wanted = ((x - FILL) * np.moveaxis(kernel, -1, 0)[units]).sum(-1)
    np.testing.assert_allclose(found.pixels, wanted, rtol=1e-4, atol=1e-6)
    values, _ = subject.run(x, units)
    np.testing.assert_allclose(found.pixels.sum((1, 2)), values - found.reference, rtol=1e-4)


def test_the_log_odds_of_two_classes_are_the_difference_of_their_logits():
    subject, kernel = linear(2, "softmax")
    x, units = images(2), np.array([0, 1], "int32")

    found = METHODS["integrated_gradients"].make(subject)(x, units)

    change = kernel[..., 0] - kernel[..., 1]
    wanted = ((x - FILL) * change).sum(-1) * np.array([1, -1])[:, None, None]
    np.testing.assert_allclose(found.pixels, wanted, rtol=1e-3, atol=1e-5)


def test_a_plateau_of_an_isotonic_curve_is_explained_by_what_comes_before():
    """The curve says 0.2 whatever the image is; gradients are those of the logits."""
    subject, kernel = linear(2, "sigmoid")
    model = subject.network.predictor
    ramp = [np.full((2, 1), value) for value in (1e6, 1.0, 0.3)]
    curved = with_curves(model, "label", (np.full(2, 0.2), *ramp), np.array([True, True]))
    subject = Subject(Network(curved, curved, subject.network.backbones), "label", "sigmoid")
    x, units = images(2), np.array([0, 1], "int32")

    _, scores = subject.run(x, units)
    np.testing.assert_allclose(scores, 0.2, rtol=1e-5)
    found = METHODS["integrated_gradients"].make(subject)(x, units)
    wanted = ((x - FILL) * np.moveaxis(kernel, -1, 0)[units]).sum(-1)
    np.testing.assert_allclose(found.pixels, wanted, rtol=1e-3, atol=1e-5)
    assert METHODS["grad_cam"].make(subject)(x, units).pixels.max() > 0


def test_the_class_that_is_explained_is_the_answer_by_the_threshold():
    decision = {"threshold": 0.2, "positive": 1}
    output = Output(Classification(), ("cat", "dog"), decision)
    asked = Asked(SimpleNamespace(outputs={"label": output}, folder="run"))
    logits = np.log([[0.9, 0.1], [0.75, 0.25], [0.3, 0.7]])
    assert asked.units({"label": logits}).tolist() == [0, 1, 1]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_scores_are_probabilities(activation):
    subject, _ = linear(3, activation)
    x = images(5)
    units = rng.integers(0, 3, 5)

    values, scores = subject.run(x, units)

    logits = subject.network.predictor({"pixels": x})["label"].numpy().astype("float64")
    every = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = every if activation == "softmax" else 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(scores, wanted[np.arange(5), units], rtol=1e-5)
    np.testing.assert_allclose(values, np.log(scores / (1 - scores)), rtol=1e-3, atol=1e-5)


def test_integrated_gradients_are_complete_for_a_network_with_kinks():
    layers = [
        keras.layers.Rescaling(1 / 64, -1),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    keras.utils.set_random_seed(1)
    subject = subject_of(layers, "softmax")
    x, units = images(4), np.array([0, 1, 2, 0], "int32")

    found = METHODS["integrated_gradients"].make(subject)(x, units)

    values, _ = subject.run(x, units)
    np.testing.assert_allclose(found.pixels.sum((1, 2)), values - found.reference, rtol=0.051)


def corner(size=16):
    """The value is the mean red of the 4 x 4 pixels in the upper left corner."""
    mask = np.zeros((size, size, 3), "float32")
    mask[:4, :4, 0] = 1 / 16
    dense = keras.layers.Dense(1, use_bias=False)
    subject = subject_of([keras.layers.Flatten(), dense], "linear", size)
    dense.set_weights([mask.reshape(-1, 1)])
    return subject


def test_occlusion_points_at_the_corner_that_counts():
    subject = corner()
    x = np.full((1, 16, 16, 3), 255, "float32")

    (found,) = METHODS["occlusion"].make(subject)(x, np.zeros(1, "int32")).pixels

    # Squares of 2 x 2 pixels, one apart: each inside takes 4 of 16 pixels from 255 to the mean.
    inside = (255 - FILL[0]) * 4 / 16
    np.testing.assert_allclose(found[:3, :3], inside, rtol=1e-5)
    assert found[4:].max() < inside
    assert not found[5:, 5:].any()


@pytest.mark.parametrize("size", [5, 8, 16, 31, 32, 100, 224])
def test_squares_cover_every_pixel(size):
    covered = np.zeros((size, size), int)
    for square in patches(size):
        covered[square] += 1
    assert covered.min() >= 1


def test_heat_is_what_is_positive():
    found = as_heat(np.array([[[-1.0, 2], [4, 0]], [[-1, -2], [-3, 0]]]))
    np.testing.assert_allclose(found, [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])
    assert found.dtype == "float32"
    cut = as_heat(np.arange(1, 102, dtype=float).reshape(1, 1, 101), 0.99)
    np.testing.assert_allclose(cut[0, 0, [0, 49, 99, 100]], [0.01, 0.5, 1, 1])


def test_squares_are_removed_in_the_order_of_their_heat():
    attributions = np.kron([[1, 4], [3, 2]], np.ones((14, 14)))
    rank = removal_order(attributions)
    assert rank.shape == (14, 14)
    quarter = [set(rank[rows, columns].ravel().tolist()) for rows, columns in (
        (slice(0, 7), slice(7, 14)), (slice(7, 14), slice(0, 7)),
        (slice(7, 14), slice(7, 14)), (slice(0, 7), slice(0, 7)),
    )]  # fmt: skip
    assert quarter == [set(range(49 * n, 49 * n + 49)) for n in range(4)]


@pytest.mark.parametrize("size", [5, 16, 30])
def test_squares_at_the_border_have_the_mean_of_what_is_inside(size):
    assert (
        removal_order(np.ones((size, size))).max() + 1
        == removal_order(rng.normal(size=(size, size))).size
    )


def test_deletion_is_the_area_under_the_curve():
    """The log-odds fall by a step as each quarter of the image's columns is removed."""
    weights = np.zeros((28, 28, 3), "float32")
    weights[:, :7, 0] = 1 / (28 * 7)
    dense = keras.layers.Dense(2)
    subject = subject_of([keras.layers.Flatten(), dense], "softmax", 28)
    kernel = np.stack([weights.ravel(), np.zeros(weights.size)], axis=1)
    dense.set_weights([kernel.astype("float32") / 20, np.float32([-FILL[0] / 20, 0])])
    image = np.full((28, 28, 3), 255, "float32")
    heat = np.zeros((28, 28))
    heat[:, :7] = 1

    found = deletion(subject, image, heat, unit=0)

    # Squares of 2 x 2, 196; 14 in each of 14 steps; the columns that count are 49 + the half of
    # column 7's squares, so they are gone after a quarter. z falls evenly from start to 0.
    start = (255 - FILL[0]) / 20
    shares = np.arange(15) / 14
    order = removal_order(heat)
    counting = np.where(np.arange(14) < 3, 1.0, np.where(np.arange(14) == 3, 0.5, 0))
    left = [1 - (counting[None] * (order < n)).sum() / (3.5 * 14) for n in range(0, 197, 14)]
    curve = 1 / (1 + np.exp(-start * np.array(left)))
    assert found.score == pytest.approx(trapezoid(curve, shares), abs=1e-4)
    assert found.score < found.random
    assert deletion(corner(28), image, heat, unit=0) is None


def test_a_random_map_is_linear_between_a_few_places():
    found = random_map(22, seed=3)
    wanted = np.random.default_rng(3).normal(size=(4, 4))
    np.testing.assert_allclose(found[::7, ::7], wanted)
    np.testing.assert_allclose(np.diff(found[7:15, 3], n=2), 0, atol=1e-12)


def test_correlations_of_ranks():
    from scipy.stats import spearmanr

    some, others = rng.normal(size=(2, 6, 6))
    wanted = spearmanr(np.abs(some).ravel(), np.abs(others).ravel()).statistic
    assert correlation(some, others) == pytest.approx(wanted)
    assert correlation(some, -3 * some) == pytest.approx(1)
    assert correlation(some, np.ones((6, 6))) == 0


def test_a_method_that_ignores_the_network_fails_the_sanity_check():
    """A map of edges is the same for all weights; the gradient of a network is not."""
    subject, _ = linear(2, "softmax")
    network = subject.network
    x = images(4)
    before = network.model.get_weights()
    edges = np.abs(np.diff(x[..., 0], axis=1))
    method = METHODS["integrated_gradients"].make(subject)

    edgy = sanity_check(network.model, [], lambda: edges)
    sane = sanity_check(network.model, [], lambda: method(x, np.zeros(4, "int32")).pixels)

    assert edgy.all == edgy.head == pytest.approx(1)
    assert "hardly change where all weights are random" in edgy.warning
    assert not edgy._replace(examples=3).warning
    assert "the head is" in edgy._replace(all=0.2).warning
    assert abs(sane.all) < 0.5
    assert not sane.warning
    assert sane.examples == 4
    for weight, now in zip(before, network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)
    assert sanity_check(network.model, [], lambda: np.ones((2, 4, 4))) is None


def test_random_weights_are_taken_back_after_an_error():
    variable = keras.Variable(np.arange(6.0).reshape(2, 3), name="kernel")
    seen = []

    def fail():
        with randomized([variable]):
            seen.append(variable.numpy())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not np.allclose(seen[0], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(variable.numpy(), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("method", METHODS)
def test_the_heat_lies_on_the_patch_that_decides(patch_run, method):  # noqa: F811
    drawn = [patched(rng, name) for name in list(COLOURS) * 4]
    explainer = ImageExplainer(patch_run, method)

    found = list(explainer.explain([pixels for pixels, *_ in drawn]))

    for one, (_, row, column), name in zip(found, drawn, list(COLOURS) * 4, strict=True):
        assert one.predicted == one.explained == name
        assert one.score > 0.6
        assert one.heat.dtype == "float32"
        assert one.heat.shape == (32, 32)
        assert one.heat.min() >= 0
        assert one.heat.max() <= 1
        # Single pixels of integrated gradients are noisy.
        smooth = uniform_filter(one.attributions, 5)
        y, x = np.unravel_index(smooth.argmax(), smooth.shape)
        # A map's place is 4 pixels wide, and each sees a few around it.
        assert row - 4 <= y < row + SIDE + 4
        assert column - 4 <= x < column + SIDE + 4
        inside = one.heat[row : row + SIDE, column : column + SIDE].mean()
        assert inside > one.heat.mean()
    scores, chance = np.array([one.deletion for one in found]).T
    assert scores.mean() < chance.mean()
    assert explainer.sanity.examples == 8


def test_a_named_class_is_explained(patch_run):  # noqa: F811
    pixels, *_ = patched(rng, "red")
    one, *_ = ImageExplainer(patch_run, "occlusion", "blue").explain(pixels)
    assert (one.predicted, one.explained) == ("red", "blue")
    assert one.score < 0.5


def test_wrong_names_have_near_misses(patch_run):  # noqa: F811
    for given, said in (
        ({"unit": "bleu"}, "No class is called 'bleu'. Did you mean 'blue'?"),
        ({"method": "grad-cam"}, "Did you mean 'grad_cam'?"),
        ({"output": "lable"}, "Did you mean 'label'?"),
    ):
        with pytest.raises(UnknownName, match=said.replace("?", r"\?")):
            ImageExplainer(patch_run, **given)


def test_a_network_without_maps_is_refused():
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    subject = subject_of(layers, "softmax", size=1)
    with pytest.raises(BadConfiguration, match="--method occlusion"):
        METHODS["grad_cam"].make(subject)


@pytest.mark.parametrize(("name", "unit"), [("labels", "blue"), ("values", "redness")])
def test_labels_and_values(objective_run, name, unit):
    run = objective_run(name)
    pixels = np.zeros((20, 24, 3), "uint8")
    pixels[..., 0] = 200

    (one,) = ImageExplainer(run, "occlusion", unit).explain(pixels)
    (default,) = ImageExplainer(run, "occlusion").explain(pixels)

    (prediction,) = run.predict(pixels)
    scores = dict(zip(run.classes, next(iter(prediction.scores.values())), strict=True))
    assert one.explained == unit
    assert one.score == pytest.approx(scores[unit], rel=1e-3, abs=1e-4)
    assert default.explained == (max(scores, key=scores.get) if name == "labels" else "redness")
    assert (one.deletion is None) == (name == "values")


def test_several_outputs(objective_run):
    run = objective_run("tasks")
    found = [*ImageExplainer(run, output="price-in.eur").explain(np.zeros((9, 9, 3), "uint8"))]
    assert found[0].predicted == f"{found[0].score:.4g}"
    with pytest.raises(UnknownName, match="No target is called 'red'"):
        ImageExplainer(run, unit="red", output="price-in.eur")


def test_a_learner_without_a_gradient_is_explained_by_occlusion():
    layers = [keras.layers.GlobalAveragePooling2D(), NearestNeighbors(4, 1, 2)]
    subject = subject_of(layers, "softmax")
    with pytest.raises(BadConfiguration, match="Use --method occlusion"):
        subject.check_gradient("grad_cam")
    found = METHODS["occlusion"].make(subject)(images(1), np.zeros(1, "int32"))
    assert np.isfinite(found.pixels).all()
    assert not METHODS["occlusion"].gradient

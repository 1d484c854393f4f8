"""A method with unlabelled rows: the three terms of DANN, by the stock trainer.

Ganin et al. 2016, arXiv:1505.07818, equation 4: the loss of the source's labels, and of the
domains of source and target behind a gradient reversal. The target's labels are never seen.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.networks.layers import GradientReversal
from keras_transfer.networks.network import Network
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.training.terms import Term, compile_arguments
from keras_transfer.training.trainer import StagePlan, Trainer

ROWS, BATCH, EPOCHS = 400, 40, 30


def blobs(rng, shift):
    """Two classes at -1 and +1 on both axes; ``shift`` moves a domain along the second one.

    Both axes tell the source's classes apart, so a classifier takes their sum. With a shift of 2
    the sum of the target's class -1 is the threshold itself: half of that class is taken wrongly.
    """
    y = rng.integers(2, size=ROWS)
    x = np.repeat(2.0 * y[:, None] - 1, 2, axis=1) + rng.normal(scale=0.5, size=(ROWS, 2))
    return (x + np.float64([0, shift])).astype("float32"), y.astype("int32")


def columns(seed):
    """Inputs, targets and weights of both domains; a target row has weight 0 for its label."""
    rng = np.random.default_rng(seed)
    (source_x, source_y), (target_x, target_y) = blobs(rng, 0.0), blobs(rng, 2.0)
    is_target = np.repeat(np.float32([0, 1]), ROWS)
    order = rng.permutation(2 * ROWS)
    x, domain = np.concatenate([source_x, target_x])[order], is_target[order]
    # Where the label of a target row would stand is a wrong one: its weight must keep it out.
    label = np.concatenate([source_y, 1 - target_y])[order]
    rows = (
        {"x": x},
        {"label": label, "source": domain[:, None], "target": domain[:, None]},
        {"label": 1 - domain, "source": 1 - domain, "target": domain},
    )
    return rows, (target_x, target_y)


def network(seed, factor):
    """Two numbers in; logits of the label and, twice, of the domain out."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,), name="x")
    features = keras.layers.Dense(8, activation="tanh", name="features")(inputs)
    label = keras.layers.Dense(2, name="label_logits")(features)
    hidden = GradientReversal(factor, name="reversal")(features)
    hidden = keras.layers.Dense(8, activation="relu", name="domain_hidden")(hidden)
    domain = keras.layers.Dense(1, name="domain_logit")(hidden)
    outputs = {name: keras.layers.Identity(name=f"{name}_domain")(domain) for name in DOMAINS}
    model = keras.Model({"x": inputs}, {"label": label, **outputs})
    return Network(model, keras.Model({"x": inputs}, {"label": label}), {})


DOMAINS = ("source", "target")


def terms(weight=1.0):
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    label = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return (
        Term("label", "label", label, metrics=("accuracy",)),
        *(Term(name, name, binary, weight) for name in DOMAINS),
    )


def log_loss(logits, classes):
    """(rows,) cross-entropy, by numpy alone."""
    logits = np.float64(logits)
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), classes]


def expected_losses(model, rows):
    """The three terms by hand; means over all rows of the batch, as Keras takes them."""
    (_, targets, weights), outputs = rows, model.predict(rows[0], verbose=0)
    domain = targets["source"][:, 0]
    logits = np.concatenate([np.zeros_like(outputs["source"]), outputs["source"]], axis=1)
    by_domain = log_loss(logits, domain.astype(int))
    return {
        "label": (weights["label"] * log_loss(outputs["label"], targets["label"])).mean(),
        "source": (by_domain * (1 - domain)).mean(),
        "target": (by_domain * domain).mean(),
    }


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "graph"])
def test_the_loss_is_the_sum_of_the_three_terms(eager):
    """Batches are of unknown size; all rows are one batch, so that means can be compared."""
    rows, _ = columns(0)
    model = network(0, 1.0).model
    model.compile("sgd", **compile_arguments(terms(0.5)), run_eagerly=eager)
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(2 * ROWS)
    found = model.evaluate(batches, return_dict=True, verbose=0)

    wanted = expected_losses(model, rows)
    assert batches.element_spec[0]["x"].shape[0] is None
    assert found["loss"] == pytest.approx(
        wanted["label"] + 0.5 * (wanted["source"] + wanted["target"]), rel=1e-5
    )
    assert {name: found[f"{name}_loss"] for name in wanted} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_the_gradient_turns_at_the_reversal(factor):
    """Before it: label term minus factor times the domain terms; after it: as without it."""
    (inputs, targets, weights), _ = columns(0)

    def gradients(factor, *names):
        model = network(0, factor).model
        losses = {term.output: term.loss for term in terms()}

        @tf.function(input_signature=[tf.TensorSpec((None, 2))])
        def step(x):
            outputs = model({"x": x}, training=True)
            total = sum(losses[n](targets[n], outputs[n], weights[n]) for n in names)
            layers = [model.get_layer(n).kernel.value for n in ("features", "domain_hidden")]
            return tf.gradients(total, layers, unconnected_gradients="zero")

        return [gradient.numpy() for gradient in step(inputs["x"])]

    label, _ = gradients(1.0, "label")
    domain, after = gradients(-1.0, *DOMAINS)  # minus minus one: nothing turns
    found, found_after = gradients(factor, "label", *DOMAINS)

    np.testing.assert_allclose(found, label - factor * domain, atol=1e-6)
    np.testing.assert_allclose(found_after, after, atol=1e-6)


def trained(folder, seed, factor):
    """The accuracy on the target."""
    rows, (target_x, target_y) = columns(seed)
    made = network(seed, factor)
    trainer = Trainer(made, folder, "loss", terms())
    data = tf.data.Dataset.from_tensor_slices(rows)

    def train(first_epoch):
        return data.batch(BATCH).repeat(EPOCHS - first_epoch)

    val = data.batch(128)
    steps = 2 * ROWS // BATCH
    optimizer = build_optimizer(
        "adam", learning_rate=0.01, schedule="constant", steps=steps * EPOCHS
    )
    batches = StageBatches(None, train, val, lambda samples: val)
    trainer.stage(0, batches, optimizer, StagePlan("adapt", EPOCHS, steps))
    last = keras.models.load_model(folder / "last.keras")
    answers = last.predict({"x": target_x}, verbose=0)["label"].argmax(1)
    return float((answers == target_y).mean())


def test_unlabelled_rows_of_the_target_help(tmp_path):
    """Source only beside DANN, two seeds, the same data and the same number of steps."""
    pairs = []
    for seed in range(2):
        accuracies = []
        for factor in (0.0, 1.0):
            folder = tmp_path / f"{seed}_{factor}"
            folder.mkdir()
            accuracies.append(trained(folder, seed, factor))
        pairs.append(accuracies)
    source_only, adapted = np.transpose(pairs)

    assert (adapted > source_only + 0.05).all(), pairs
    assert source_only.mean() == pytest.approx(0.75, abs=0.08)
    assert adapted.mean() > 0.9

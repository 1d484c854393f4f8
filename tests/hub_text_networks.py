"""Tiny networks of KerasHub for texts, their presets, and rows of the table of backbones."""

import json

import numpy as np

from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS
from keras_transfer.networks.backbone_spec import HubPreset
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, TextBackbone

SIZES = {"num_layers": 3, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
TINY = {
    "bert": (SIZES, "Bert"),
    "distil_bert": (SIZES, "DistilBert"),
    "electra": ({**SIZES, "embedding_dim": 8}, "Electra"),
}
"""By family: arguments of KerasHub's class, and how KerasHub begins the names of its classes."""

WORDS = (
    *("good", "lovely", "bright", "tender", "bad", "dull", "noisy", "cold", "a", "film", "and"),
    *("plot", "cast", "it", "is", "the", ".", ",", "##s", "##ly"),
)
TOKENS = (*SPECIAL_TOKENS, *WORDS)
POSITIONS = 24


def row_of(family):
    """A row of ``TEXT_BACKBONES`` for the tiny network of a family."""
    full = next(row for row in TEXT_BACKBONES.values() if row.hub and row.hub.family == family)
    config = TINY[family][0]
    return TextBackbone("", full.marks, config, hub=HubPreset(family, config, full.hub.handle))


def network_of(family, positions=512):
    """KerasHub's own network, with weights that are all different."""
    import keras_hub

    name = {"electra": "vocab_size"}.get(family, "vocabulary_size")
    config, cls = TINY[family]
    network = getattr(keras_hub.models, f"{cls}Backbone")(
        **{**config, name: len(TOKENS), "max_sequence_length": positions}
    )
    rng = np.random.default_rng(1)
    for weight in network.weights:
        shift = 1 if "gamma" in weight.path else 0
        weight.assign(rng.normal(0, 0.3, weight.shape) + shift)
    return network


def write_preset(family, folder, *, positions=512, lowercase=True):
    """Save a network and its tokenizer as KerasHub's users do; returns the network."""
    import keras_hub

    network = network_of(family, positions)
    network.save_to_preset(str(folder))
    tokenizer = getattr(keras_hub.models, f"{TINY[family][1]}Tokenizer")
    tokenizer(list(TOKENS), lowercase=lowercase).save_to_preset(str(folder))
    return network


def write_hugging_face(folder, **more):
    """The tiny BERT as a directory of Hugging Face; ``more`` goes into tokenizer_config.json."""
    from safetensors.numpy import save_file

    folder.mkdir()
    sizes = {
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "vocab_size": len(TOKENS),
        "max_position_embeddings": POSITIONS,
    }
    config = {"model_type": "bert", "hidden_act": "gelu", **sizes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(TOKENS))
    said = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", **more}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    save_file(_bert_arrays(), folder / "model.safetensors")


def _bert_arrays():
    """Random weights of a BERT, by the names that transformers gives them."""
    shapes = {
        "embeddings.word_embeddings.weight": (len(TOKENS), 16),
        "embeddings.position_embeddings.weight": (POSITIONS, 16),
        "embeddings.token_type_embeddings.weight": (2, 16),
        "pooler.dense.weight": (16, 16),
        "pooler.dense.bias": (16,),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(3):
        start = f"encoder.layer.{number}"
        denses = {
            **{f"{start}.attention.self.{part}": (16, 16) for part in ("query", "key", "value")},
            f"{start}.attention.output.dense": (16, 16),
            f"{start}.intermediate.dense": (32, 16),
            f"{start}.output.dense": (16, 32),
        }
        for name, shape in denses.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        norms += [f"{start}.attention.output.LayerNorm", f"{start}.output.LayerNorm"]
    shapes |= {f"{name}.{part}": (16,) for name in norms for part in ("weight", "bias")}
    rng = np.random.default_rng(2)
    return {name: rng.normal(0, 0.3, shape).astype("float32") for name, shape in shapes.items()}

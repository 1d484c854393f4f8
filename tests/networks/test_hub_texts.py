"""Networks of KerasHub for texts: flat they answer as KerasHub's own, and presets are read."""

import json
import re

import keras
import numpy as np
import pytest
from hub_text_networks import POSITIONS, TINY, TOKENS, row_of, write_hugging_face
from hub_text_networks import write_preset as write_preset_of

from keras_transfer.errors import BadConfiguration, BadWeights
from keras_transfer.networks import hub_presets
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.freezing import freeze, parameter_counts
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES
from keras_transfer.networks.keras_files import load_keras
from keras_transfer.networks.network import build_text_network
from keras_transfer.networks.preset_files import tokenizer_of
from keras_transfer.networks.text_backbones import TEXT_BACKBONES, build_text_backbone
from keras_transfer.networks.weights import load_backbone_weights, verify_weights

pytest.importorskip("keras_hub")

LENGTH = 12


@pytest.fixture(params=TINY)
def family(request):
    return request.param


@pytest.fixture
def tiny(family, monkeypatch):
    """Name of a backbone: the tiny network of a family."""
    monkeypatch.setitem(TEXT_BACKBONES, "tiny", row_of(family))
    return "tiny"


@pytest.fixture
def tiny_bert(monkeypatch):
    monkeypatch.setitem(TEXT_BACKBONES, "tiny", row_of("bert"))
    return "tiny"


def sentences():
    ids = np.random.default_rng(0).integers(5, len(TOKENS), (3, LENGTH)).astype("int32")
    mask = np.arange(LENGTH) < np.array([12, 5, 2])[:, None]
    return {"token_ids": np.where(mask, ids, 0), "padding_mask": mask}


def theirs(network, batch):
    """The sequence of KerasHub's own network, for one text in each row."""
    inputs = {
        "token_ids": batch["token_ids"],
        "padding_mask": batch["padding_mask"].astype("int32"),
        "segment_ids": np.zeros_like(batch["token_ids"]),
    }
    found = network({name: inputs[name] for name in network.input}, training=False)
    return np.asarray(found["sequence_output"] if isinstance(found, dict) else found)


def loaded(name, weights):
    config = hub_presets.preset_config(name, weights)
    backbone = build_text_backbone(name, vocabulary_size=len(TOKENS), length=LENGTH, config=config)
    load_backbone_weights(backbone, weights, name=name)
    return backbone


def classifier(backbone):
    return build_text_network(backbone, {"label": build_head(3, pooling=None)}, pooling="avg")


def test_the_network_of_a_preset_answers_as_that_of_kerashub(tiny, family, tmp_path):
    network = write_preset_of(family, tmp_path / "preset")
    expected = theirs(network, sentences())

    backbone = loaded(tiny, f"preset:{tmp_path / 'preset'}")

    assert np.ptp(expected) > 1
    assert np.asarray(backbone(sentences())) == pytest.approx(expected, abs=1e-5)
    assert [*blocks(backbone)] == ["embeddings", "layer_0", "layer_1", "layer_2"]


def test_every_block_can_be_unfrozen_and_is_a_place_to_cut(tiny):
    backbone = build_text_backbone(tiny, vocabulary_size=len(TOKENS), length=LENGTH)
    network, batch, trained = classifier(backbone), sentences(), [0]
    expected = np.asarray(network.model(batch, training=False)["label"])
    for name in ("layer_2", "layer_1", "layer_0"):
        network.freeze(name)
        trained.append(parameter_counts(backbone)[0])
        cut = network.cut()
        assert not cut.frozen.trainable_weights
        assert len(cut.trainable.trainable_weights) == len(network.model.trainable_weights)
        features = cut.frozen([batch[key] for key in cut.inputs], training=False)
        rest = {key: keras.ops.convert_to_tensor(batch[key]) for key in cut.passthrough}
        rest["features"] = features
        halves = cut.trainable(rest, training=False)["label"]
        assert np.asarray(halves) == pytest.approx(expected, abs=1e-5), name
        # No dropout: training answers as predict does.
        answer = np.asarray(network.model(batch, training=True)["label"])
        assert answer == pytest.approx(expected, abs=1e-5)
    assert trained == sorted(set(trained))


def test_lora_is_for_the_blocks_that_are_named(tiny_bert):
    """Rank 2 on 16 x 16 kernels of attention: A is (16, 2, 2) or (2, 8, 2), B (2, 8) or (2, 16)."""
    backbone = build_text_backbone(tiny_bert, vocabulary_size=len(TOKENS), length=LENGTH)
    network = classifier(backbone)
    before = np.asarray(network.model(sentences(), training=False)["label"])

    network.freeze("layer_1", trainable="lora")
    network.enable_lora(2, None, seed=0)

    attention = 3 * (16 * 2 * 2 + 2 * 8) + 2 * 8 * 2 + 2 * 16
    dense = (16 * 2 + 2 * 32) + (32 * 2 + 2 * 16)
    assert parameter_counts(backbone)[0] == 2 * (attention + dense)
    after = np.asarray(network.model(sentences(), training=False)["label"])
    assert after == pytest.approx(before, abs=1e-6)


def test_it_is_read_back_from_a_file(tiny, tmp_path):
    model = classifier(build_text_backbone(tiny, vocabulary_size=len(TOKENS), length=8)).model
    model.save(tmp_path / "best.keras")

    read = load_keras(tmp_path / "best.keras")

    batch = {name: values[:, :8] for name, values in sentences().items()}
    expected = np.asarray(model(batch)["label"])
    assert np.asarray(read(batch)["label"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", HUB_TEXT_BACKBONES)
def test_parameters_are_those_that_the_preset_states(name):
    """All but the pooler, which is a dense layer as wide as the network."""
    from keras_hub.src.models.bert.bert_presets import backbone_presets as bert
    from keras_hub.src.models.distil_bert.distil_bert_presets import backbone_presets as distil
    from keras_hub.src.models.electra.electra_presets import backbone_presets as electra

    row = TEXT_BACKBONES[name]
    stated = {
        preset["kaggle_handle"]: preset["metadata"]["params"]
        for presets in (bert, distil, electra)
        for preset in presets.values()
    }
    width = row.hub.config["hidden_dim"]
    pooler = 0 if row.hub.family == "distil_bert" else width * width + width

    assert row.parameters + pooler == stated[row.hub.handle]
    assert row.hub.license == "Apache-2.0"
    if name in ("bert_tiny", "electra_small"):  # quick to build
        backbone = build_text_backbone(name, vocabulary_size=30_522, length=8)
        assert backbone.count_params() == row.parameters


def test_a_directory_of_hugging_face_is_a_preset(tiny_bert, tmp_path):
    """Its arrays are transposed and named otherwise."""
    import keras_hub

    folder = tmp_path / "bert"
    write_hugging_face(folder)
    network = keras_hub.models.BertBackbone.from_preset(str(folder))

    found = np.asarray(loaded(tiny_bert, f"preset:{folder}")(sentences()))

    assert found == pytest.approx(theirs(network, sentences()), abs=1e-5)
    assert tokenizer_of(folder) == (folder / "vocab.txt", True)
    verify_weights(f"preset:{folder}", tiny_bert)


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_preset_says_whether_its_words_are_lower_case(tmp_path, lowercase):
    write_preset_of("bert", tmp_path / "kerashub", lowercase=lowercase)
    write_hugging_face(tmp_path / "huggingface", do_lower_case=lowercase)
    only = tmp_path / "only"  # a fast tokenizer
    write_hugging_face(only)
    (only / "tokenizer_config.json").write_text("{}")
    normalizer = {"type": "BertNormalizer", "lowercase": lowercase, "strip_accents": None}
    (only / "tokenizer.json").write_text(json.dumps({"normalizer": normalizer}))

    for name in ("kerashub", "huggingface", "only"):
        assert tokenizer_of(tmp_path / name).lowercase is lowercase


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"do_lower_case": None}, "does not say whether its words are lower case"),
        ({"strip_accents": False}, "accents, ideographs"),
        ({"tokenize_chinese_chars": False}, "accents, ideographs"),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "accents, ideographs"),
        ({"word_tokenizer_type": "mecab"}, "accents, ideographs"),
        ({"subword_tokenizer_type": "character"}, "accents, ideographs"),
        ({"do_basic_tokenize": False}, "accents, ideographs"),
    ],
)
def test_tokens_that_are_made_otherwise_are_refused(tmp_path, said, message):
    write_hugging_face(tmp_path / "bert", **said)
    with pytest.raises(BadWeights, match=message):
        tokenizer_of(tmp_path / "bert")


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        ({"normalizer": "lower"}, "tokenizer.json is damaged: its normalizer is 'lower'"),
        ({"class_name": "BertTokenizer", "config": [1]}, "its config is"),
        (
            {"class_name": "BertTokenizer", "config": {"lowercase": False, "strip_accents": True}},
            "accents, ideographs",
        ),
    ],
)
def test_a_damaged_or_other_tokenizer_is_refused(tmp_path, tokenizer, message):
    write_hugging_face(tmp_path / "bert")
    (tmp_path / "bert/tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(BadWeights, match=re.escape(message)):
        tokenizer_of(tmp_path / "bert")


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


DAMAGES = {
    "relu": (lambda f: edit(f / "config.json", hidden_act="relu"), "activation relu"),
    "relative": (
        lambda f: edit(f / "config.json", position_embedding_type="relative_key"),
        "relative_key positions",
    ),
    "other network": (
        lambda f: edit(f / "config.json", num_attention_heads=4),
        "num_heads = 4, and the backbone 2",
    ),
    "no vocabulary": (lambda f: (f / "vocab.txt").unlink(), "no WordPiece vocabulary"),
    "foreign": (lambda f: edit(f / "config.json", module="os.path"), "names classes of os.path"),
    "no config": (lambda f: (f / "config.json").unlink(), "there is no config.json"),
    "half": (
        lambda f: (f / "model.safetensors").write_bytes(b"half"),
        "cannot be read as a preset",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_preset_that_does_not_fit_is_refused(tiny_bert, tmp_path, damage):
    folder = tmp_path / "bert"
    write_hugging_face(folder)
    change, message = DAMAGES[damage]
    change(folder)
    with pytest.raises(BadWeights, match=message):
        verify_weights(f"preset:{folder}", tiny_bert)


@pytest.mark.parametrize("rows", [20, 25 + 129])
def test_embeddings_of_another_vocabulary_are_refused(tiny_bert, rows):
    config = {**TINY["bert"][0], "vocabulary_size": rows}
    with pytest.raises(BadWeights, match=f"25 tokens, and its network embeddings for {rows}"):
        build_text_backbone(tiny_bert, vocabulary_size=25, length=8, config=config)


def test_some_embeddings_may_belong_to_no_token(tiny_bert):
    config = {**TINY["bert"][0], "vocabulary_size": 32}
    backbone = build_text_backbone(tiny_bert, vocabulary_size=25, length=8, config=config)
    assert backbone.get_layer("embeddings_token").input_dim == 32


def test_texts_are_no_longer_than_the_positions_of_the_preset(tiny_bert, tmp_path):
    write_hugging_face(tmp_path / "bert")
    config = hub_presets.preset_config(tiny_bert, f"preset:{tmp_path / 'bert'}")
    with pytest.raises(BadConfiguration, match=f"2 to {POSITIONS} tokens, not 25"):
        build_text_backbone(tiny_bert, vocabulary_size=25, length=25, config=config)


def test_a_network_of_our_own_has_no_presets():
    with pytest.raises(BadWeights, match="Those that have are bert_tiny"):
        hub_presets.preset_folder("transformer_tiny", "preset")


def test_without_a_network_the_message_says_what_to_do(monkeypatch, tmp_path):
    """The address is one where nothing answers."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadWeights, match=r"cannot be downloaded .* use --weights preset:DIR"):
        hub_presets.preset_folder("bert_tiny", "preset")


def test_layers_follow_the_policy_of_mixed_precision(tiny_bert):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        backbone = build_text_backbone(tiny_bert, vocabulary_size=25, length=LENGTH)
    finally:
        keras.config.set_dtype_policy("float32")
    freeze(backbone, "all")
    assert backbone.output.dtype == "bfloat16"
    assert {str(weight.dtype) for weight in backbone.weights} == {"float32"}
    expected = np.asarray(backbone(sentences()), "float32")
    exact = build_text_backbone(tiny_bert, vocabulary_size=25, length=LENGTH)
    exact.set_weights(backbone.get_weights())
    assert np.asarray(exact(sentences())) == pytest.approx(expected, abs=0.1)

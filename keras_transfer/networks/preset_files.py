"""The files of a preset: what they may hold, and what they say about pixels and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.errors import BadWeights
from keras_transfer.networks.hdf5_files import opened_hdf5

__all__ = [
    "PresetTokenizer",
    "check_encoder",
    "check_files",
    "declared_scale",
    "tokenizer_of",
    "vocabulary_file",
]

VOCABULARIES = ("assets/tokenizer/vocabulary.txt", "vocab.txt")
"""Where KerasHub and Hugging Face keep a vocabulary of WordPieces."""


BERT: Mapping[str, tuple[Any, ...]] = {
    "word_tokenizer_type": ("basic",),
    "subword_tokenizer_type": ("wordpiece",),
    "do_basic_tokenize": (True,),
    "tokenizer_class": (
        *("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "BertTokenizerFast"),
        *("DistilBertTokenizerFast", "ElectraTokenizerFast", "PreTrainedTokenizerFast"),
    ),
}
"""Settings of Hugging Face's tokenizer_config.json that make BERT's tokens, the default first."""


class PresetTokenizer(NamedTuple):
    """The file of a vocabulary, and whether its words are lower case without accents."""

    vocabulary: Path
    lowercase: bool


def check_files(folder: Path) -> None:
    """Refuse a preset that could do more than give weights.

    KerasHub would follow links of HDF5 files to others, and import the modules that config.json
    names.

    Raises:
        BadWeights: It has such links, or classes from other packages.
    """
    for file in sorted(folder.glob("*.h5")):
        with opened_hdf5(file):
            pass  # everything in it is checked by now
    for file in sorted(folder.glob("*.json")):
        names = sorted(set(_foreign_modules(_document(file))))
        if names:
            raise BadWeights(
                f"{file} names classes of {', '.join(names)}. A preset has classes of KerasHub and "
                "Keras only, and others are not imported."
            )


def _foreign_modules(config: Any) -> Iterator[str]:
    """Modules of classes that are neither Keras's nor KerasHub's, at any depth."""
    inner = [config]
    while inner:
        one = inner.pop()
        if isinstance(one, dict):
            module = one.get("module")
            if isinstance(module, str) and module.partition(".")[0] not in ("keras", "keras_hub"):
                yield module
            inner.extend(one.values())
        elif isinstance(one, list):
            inner.extend(one)


def declared_scale(folder: Path) -> tuple[Any, Any] | None:
    """Scale and offset of pixels 0..255 as a preset states them; None if it does not."""
    for file in ("preprocessor.json", "image_converter.json", "preprocessor_config.json"):
        found = _scale_in(_document(folder / file))
        if found is not None:
            return found
    return _scale_in(_document(folder / "config.json").get("pretrained_cfg") or {})


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _scale_in(document: Mapping[str, Any]) -> tuple[Any, Any] | None:
    mean = document.get("image_mean", document.get("mean"))
    std = document.get("image_std", document.get("std"))
    if mean is not None and std is not None:  # Hugging Face and timm
        factor = document.get("rescale_factor", 1 / 255)
        scale = np.asarray(factor) / np.asarray(std)
        return scale, -np.asarray(mean) / np.asarray(std)
    config = document.get("config", document)
    inner = config.get("image_converter") or config
    config = inner.get("config", inner)
    if "scale" in config and "offset" in config:  # KerasHub
        scale, offset = config["scale"], config["offset"]
        return (1.0 if scale is None else scale), (0.0 if offset is None else offset)
    return None


def check_encoder(folder: Path) -> None:
    """Refuse a network of Hugging Face that KerasHub would build with other layers.

    Raises:
        BadWeights: Its activation is no GELU, or its positions are relative.
    """
    said = _document(folder / "config.json")
    activation = str(said.get("hidden_act", said.get("activation", "gelu")))
    positions = str(said.get("position_embedding_type", "absolute"))
    if "gelu" not in activation or positions != "absolute":
        raise BadWeights(
            f"{folder} is of a network with the activation {activation} and {positions} positions, "
            "and KerasHub builds one with gelu and absolute positions: its answers would be wrong."
        )


def vocabulary_file(folder: Path) -> Path | None:
    """The WordPiece vocabulary of a preset; None if it has none."""
    return next((folder / name for name in VOCABULARIES if (folder / name).is_file()), None)


def tokenizer_of(folder: Path) -> PresetTokenizer:
    """What a preset says of its tokens.

    Raises:
        BadWeights: It has no WordPiece vocabulary, does not say whether words are lower case, or
            has tokens that are made otherwise than BERT's.
    """
    file = vocabulary_file(folder)
    if file is None:
        raise BadWeights(
            f"{folder} has no WordPiece vocabulary: neither {VOCABULARIES[0]}, as KerasHub writes "
            f"it, nor {VOCABULARIES[1]}, as Hugging Face does. Networks with other tokens "
            "(SentencePiece, byte-pair encoding) cannot be used."
        )
    kerashub = _document(folder / "tokenizer.json")
    if "class_name" in kerashub:
        config = _mapping(kerashub, "config", folder)
        lowercase = config.get("lowercase")
        other = config.get("split") is False or config.get("suffix_indicator", "##") != "##"
        other |= bool(config.get("strip_accents")) and not lowercase
    else:
        lowercase, other = _hugging_face_tokens(folder)
    if not isinstance(lowercase, bool):
        raise BadWeights(
            f"{folder} does not say whether its words are lower case. Add a tokenizer_config.json "
            'with {"do_lower_case": true}, or false: as the network was trained.'
        )
    if other:
        raise BadWeights(
            f"The tokenizer of {folder} treats accents, ideographs or pieces of words otherwise "
            "than BERT's: texts would become other tokens than those of its training."
        )
    return PresetTokenizer(file, lowercase)


def _hugging_face_tokens(folder: Path) -> tuple[Any, bool]:
    """Whether words are lower case, and whether something else differs from BERT's tokens."""
    normalizer = _mapping(_document(folder / "tokenizer.json"), "normalizer", folder)
    said = _document(folder / "tokenizer_config.json")
    lowercase = said.get("do_lower_case", normalizer.get("lowercase"))
    accents = said.get("strip_accents", normalizer.get("strip_accents"))
    ideographs = said.get("tokenize_chinese_chars", normalizer.get("handle_chinese_chars", True))
    other = accents not in (None, lowercase) or not ideographs
    return lowercase, other or any(
        said.get(name, as_bert[0]) not in as_bert for name, as_bert in BERT.items()
    )


def _mapping(document: Mapping[str, Any], name: str, folder: Path) -> Mapping[str, Any]:
    """A part of tokenizer.json; empty if it is not there.

    Raises:
        BadWeights: It is something else.
    """
    found = document.get(name) or {}
    if not isinstance(found, Mapping):
        raise BadWeights(f"{folder / 'tokenizer.json'} is damaged: its {name} is {found!r:.60}.")
    return found

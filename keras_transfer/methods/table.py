"""All methods by name, and the type of a setting that is one of them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from keras_transfer.errors import UnknownName
from keras_transfer.methods.adabn import AdaBN
from keras_transfer.methods.adversarial import CDAN, DANN, AdversarialAutoencoder
from keras_transfer.methods.bagging import Bagging
from keras_transfer.methods.base import Method
from keras_transfer.methods.distill import Distill
from keras_transfer.methods.feature_adaptation import (
    CORAL,
    JDA,
    KLIEP,
    KMM,
    TCA,
    DomainStandardization,
    SubspaceAlignment,
)
from keras_transfer.methods.masked_lm import MaskedLM
from keras_transfer.methods.matching import DAN, JAN, DeepCORAL
from keras_transfer.methods.self_training import MCC, EntropyMinimization, PseudoLabels
from keras_transfer.methods.setfit import SetFit
from keras_transfer.methods.supervised import Supervised
from keras_transfer.tables import Table

__all__ = ["METHODS", "AnyMethod", "from_text"]

METHODS: Table[type[Method]] = Table(
    "method",
    {
        "supervised": Supervised,
        "bagging": Bagging,
        "distill": Distill,
        "setfit": SetFit,
        "dann": DANN,
        "cdan": CDAN,
        "deep_coral": DeepCORAL,
        "dan": DAN,
        "jan": JAN,
        "mcc": MCC,
        "entropy_minimization": EntropyMinimization,
        "pseudo_labels": PseudoLabels,
        "adversarial_autoencoder": AdversarialAutoencoder,
        "adabn": AdaBN,
        "tca": TCA,
        "jda": JDA,
        "coral": CORAL,
        "subspace_alignment": SubspaceAlignment,
        "domain_standardization": DomainStandardization,
        "kmm": KMM,
        "kliep": KLIEP,
        "masked_lm": MaskedLM,
    },
)


def from_text(text: str) -> dict[str, Any]:
    """Read a method from a word: ``supervised``, ``bagging:10`` or ``distill:run:DIR``.

    Raises:
        UnknownName: There is no such method.
        BadConfiguration: What follows the colon is missing or wrong.
    """
    name, _, more = text.partition(":")
    if name not in METHODS:
        raise UnknownName("method", text, [row.example or key for key, row in METHODS.items()])
    return {"type": name, **METHODS[name].from_word(more)}


def _read(value: Any) -> Any:
    value = from_text(value) if isinstance(value, str) else value
    if isinstance(value, dict) and "type" in value:
        # Raises UnknownName with near misses, where pydantic would list the types only.
        assert METHODS[value["type"]]
    return value


if TYPE_CHECKING:
    # Type checkers cannot follow a union that is built from a table.
    AnyMethod = Method
else:
    AnyMethod = Annotated[
        reduce(or_, METHODS.values()), Field(discriminator="type"), BeforeValidator(_read)
    ]
    """One of the methods; a word is enough for most."""

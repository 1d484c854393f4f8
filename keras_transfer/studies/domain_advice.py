"""What to do after a comparison of domains, with the commands that do it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_transfer import catalog
from keras_transfer.config.groups import Backbone
from keras_transfer.data.sources import in_memory
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.runs import stored_settings
from keras_transfer.runs.directory import REQUIRED
from keras_transfer.runs.records import RUN, read_record
from keras_transfer.studies.ranking import training_words
from keras_transfer.workflows.finetune import FineTune

__all__ = ["advice"]

ADAPTING = "coral_folder"
"""The recipe that adapts to a target without labels."""


def advice(
    source: str | Path | FineTune, document: Mapping[str, Any], to_label: Path
) -> dict[str, Any]:
    """Recommend what to do.

    Args:
        source: As for ``compare_domains``.
        document: With the verdict, and the name of the target.
        to_label: The list of examples to label.

    Returns:
        "action": "use", "check_labels", "label" or "fine_tune"; "text"; "commands", a list.
    """
    found, labelled = document["verdict"], document["target"]["labelled"]
    target = document["target"]["name"]
    if found["shift"] == "disagreement":
        return _check_labels(source, target)
    if found["lost"] and labelled:
        return _fine_tune(source, target, document["target"]["missing_classes"])
    if found["lost"]:
        return _label(source, to_label, target)
    return _use(source, target, found["shift"], labelled)


def _use(source: str | Path | FineTune, target: str, shift: str, labelled: bool) -> dict[str, Any]:
    text = "Use the model as it is; adaptation is not needed."
    if shift == "label":
        text = (
            "Use the model as it is; adaptation is not needed. Metrics that depend on the shares "
            "of the classes, such as accuracy and precision, are those of the new shares: judge it "
            "by labelled examples of the target."
        )
    if shift == "near" and not labelled:
        text += (
            " The loss is an estimate, which may be wrong where examples look different: measure "
            "it on a random sample of the target that you label (--target FILE.csv)."
        )
    if isinstance(source, FineTune):
        text = text.replace("Use the model as it is", "A model of the source will do")
        return _advice("use", text, training_words(source, source.backbone))
    commands = [["kt-recipe", "export", str(source)]]
    if shift == "label" and labelled:
        commands.insert(0, ["kt-recipe", "evaluate", str(source), "--data", target])
    return _advice("use", text, *commands)


def _check_labels(source: str | Path | FineTune, target: str) -> dict[str, Any]:
    text = (
        "Check how the target is labelled: its examples look like the source's, but are labelled "
        "otherwise more often. examples.csv has prediction and label of each."
    )
    if isinstance(source, FineTune):
        return _advice("check_labels", text)
    return _advice("check_labels", text, ["kt-recipe", "evaluate", str(source), "--data", target])


def _fine_tune(
    source: str | Path | FineTune, target: str, missing: Sequence[str]
) -> dict[str, Any]:
    text = "Fine-tune on the labelled target, from the weights that the source gave."
    if missing:
        text += (
            f" It has no examples of {', '.join(missing)}, which a model of it alone would not "
            "know: add some of the source."
        )
    if not isinstance(source, FineTune):
        return _advice("fine_tune", text, _tuning_words(Path(source), target))
    trained = "runs/source"
    first = [*training_words(source, source.backbone), "--out", trained]
    second = source.changed(data=target)
    weights = Backbone(**source.backbone.model_dump() | {"weights": f"run:{trained}"})
    return _advice("fine_tune", text, first, training_words(second, weights))


def _label(source: str | Path | FineTune, path: Path, target: str) -> dict[str, Any]:
    text = (
        f"Label examples of the target first: fill in the column label of {path}, and remove rows "
        "that you leave out. It lists examples that are far from the source and of which the model "
        "is unsure, so its accuracy on them is lower than on the target. Then tune the model:"
    )
    if isinstance(source, FineTune):
        words = training_words(source.changed(data=str(path)), source.backbone)
        settings = source.settings()
    else:
        words = _tuning_words(Path(source), str(path))
        settings = stored_settings(Path(source)) or {}
    adapting = _adapting_words(source, settings, target)
    if adapting:
        text += (
            " the first command. Or adapt to the target without labels, by the second: it trains a "
            "model with adaptation and one without, and keeps what a criterion without labels "
            "prefers."
        )
    return _advice("label", text, *filter(None, [words, adapting]))


def _adapting_words(
    source: str | Path | FineTune, settings: Mapping[str, Any], target: str
) -> list[str]:
    """The command that adapts the source's backbone; none where no recipe fits."""
    data, backbone = settings["data"]["source"], settings["backbone"]
    images = settings["input"].get("type", "image") == "image"
    # Arrays have no name, and a file of a network needs more settings than its name.
    if not images or data is None or in_memory(str(data)) or settings.get("fuse"):
        return []
    if backbone["name"] not in BACKBONES:
        return []
    words = ["kt-recipe", "run", ADAPTING, "--data", data, "--target-data", target]
    words += ["--backbone", backbone["name"]]
    tuned = not isinstance(source, FineTune) and "learner" not in settings
    weights = f"run:{source}" if tuned else backbone["weights"]
    if weights != "imagenet":
        words += ["--weights", weights]
    if backbone["variant"]:
        options = ", ".join(f"{key}: {value}" for key, value in backbone["variant"].items())
        words += ["--set", f"backbone.variant={{{options}}}"]
    if settings["input"].get("image_size"):
        words += ["--image-size", settings["input"]["image_size"]]
    return [str(word) for word in words]


def _tuning_words(run: Path, target: str) -> list[str]:
    """The run's own settings on other data, from its backbone."""
    settings = stored_settings(run) or {}
    name = read_record(run / RUN, REQUIRED)["recipe"]
    # A recipe of a file is not known by its name; all of its settings are in recipe.yaml.
    known = name if name in catalog.modules() else catalog.AUTO
    words = ["kt-recipe", "run", known, "-c", str(run / "recipe.yaml"), "--data", target]
    if "learner" not in settings:  # its backbones are frozen: their weights are in the settings
        words += ["--weights", f"run:{run}"]
    if settings.get("data", {}).get("layout", "auto") != "auto":
        words += ["--set", "data.layout=auto"]
    return words


def _advice(action: str, text: str, *commands: list[str]) -> dict[str, Any]:
    return {"action": action, "text": text, "commands": [shlex.join(words) for words in commands]}

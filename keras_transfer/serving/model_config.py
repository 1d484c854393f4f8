"""Which models are served, and which of their versions: TensorFlow Serving's model_config_list."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2 as messages

from keras_transfer.errors import BadConfiguration
from keras_transfer.exports.versions import checked_name

__all__ = ["ModelConfig", "Policy", "model_configs", "read_config"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True)
class Policy:
    """Which versions of a model are served.

    Attributes:
        latest: How many of the newest; None for all.
        specific: Only these, if there are any.
    """

    latest: int | None = 1
    specific: tuple[int, ...] = ()

    def candidates(self, numbers: Sequence[int]) -> list[int]:
        """Versions to try, newest first, until ``latest`` of them can be served."""
        chosen = set(self.specific) or set(numbers)
        return sorted(chosen.intersection(numbers), reverse=True)


@dataclass(frozen=True)
class ModelConfig:
    """A model to serve.

    Attributes:
        name: As clients call it.
        base: Folder of its versions.
        policy: Which of them.
        labels: Versions by what else clients call them.
    """

    name: str
    base: Path
    policy: Policy = Policy()
    labels: Mapping[str, int] = field(default_factory=dict)


def read_config(file: Path) -> tuple[ModelConfig, ...]:
    """Read a file as TensorFlow Serving's ``--model_config_file`` takes it.

    Raises:
        BadConfiguration: It cannot be read, or says what cannot be done here.
    """
    message = messages.ModelServerConfig()
    try:
        text_format.Parse(file.read_text(encoding="utf-8"), message)
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, text_format.ParseError, RecursionError) as error:
        raise BadConfiguration(
            f"{file} is no model_config_list in protobuf's text format: {error}. "
            "docs/serving.md has an example."
        ) from None
    return model_configs(message, str(file))


def model_configs(message: messages.ModelServerConfig, source: str) -> tuple[ModelConfig, ...]:
    """Take the models from a message.

    Args:
        message: ``ModelServerConfig``.
        source: Where it comes from, for errors.

    Raises:
        BadConfiguration: It says what cannot be done here.
    """
    rows = message.model_config_list.config
    if not rows:
        raise BadConfiguration(f"{source} lists no model: model_config_list {{ config {{ ... }} }}")
    try:
        configs = tuple(_model_config(row) for row in rows)
    except BadConfiguration as error:
        raise BadConfiguration(f"{source}: {error}") from None
    names = [config.name for config in configs]
    for name in names:
        if names.count(name) > 1:
            raise BadConfiguration(
                f"{source}: Illegal to list model {name} multiple times in config list"
            )
    return configs


def _model_config(row: messages.ModelConfig) -> ModelConfig:
    try:
        name = checked_name(row.name)
    except BadConfiguration as error:
        raise BadConfiguration(f"name: {str(error).removeprefix('--name ')}") from None
    if row.model_type and row.model_platform:
        raise BadConfiguration(
            f"model {name}: Illegal setting both model_type(deprecated) and model_platform."
        )
    if row.model_type != messages.TENSORFLOW and row.model_platform != "tensorflow":
        raise BadConfiguration(f'model {name} needs model_platform: "tensorflow", and no other.')
    if not Path(row.base_path).is_absolute():
        raise BadConfiguration(
            f"Expected model {name} to have an absolute path; got base_path: {row.base_path!r}. "
            "It is the folder that holds the versions: /models/NAME."
        )
    if row.HasField("logging_config"):
        logger.warning("Warning: model %s: logging_config is ignored", name)
    return ModelConfig(
        name, Path(row.base_path), _policy(name, row.model_version_policy), dict(row.version_labels)
    )


def _policy(name: str, row: messages.FileSystemStoragePathSourceConfig) -> Policy:
    chosen = row.WhichOneof("policy_choice")
    if chosen == "all":
        return Policy(latest=None)
    if chosen == "specific":
        if not row.specific.versions:
            raise BadConfiguration(f"model {name}: specific {{ }} lists no versions.")
        return Policy(latest=None, specific=tuple(row.specific.versions))
    # TensorFlow Serving takes 0 for 1, too.
    return Policy(latest=max(1, row.latest.num_versions))

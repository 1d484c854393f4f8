"""YAML of users as plain values; whatever is wrong with it is a ``yaml.YAMLError``."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["DEPTH", "load_yaml"]

DEPTH, VALUES = 50, 100_000
"""Most levels, and most values with each alias written out; settings have far fewer."""


def load_yaml(text: str, loader: Any = yaml.SafeLoader) -> Any:
    """Read one YAML document.

    Args:
        text: The document.
        loader: A loader that builds no objects.

    Raises:
        yaml.YAMLError: It is not YAML, has too many levels or values, or one that its tag or
            form does not allow, such as a 13th month.
    """
    reader = loader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _check(node)
        return reader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError(f"it has more than {DEPTH} levels") from None
    # PyYAML lets through what int(), datetime() and its own tables raise.
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise yaml.YAMLError(f"it has a value that cannot be read ({error})") from None
    finally:
        reader.dispose()


def _check(root: yaml.Node) -> None:
    # Before values are made of it: ten lines of aliases of aliases stand for a billion values.
    waiting, count = [(root, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > DEPTH:
            raise yaml.YAMLError(f"it has more than {DEPTH} levels")
        if count > VALUES:
            raise yaml.YAMLError(f"it has more than {VALUES:,} values, aliases written out")
        if isinstance(node, yaml.MappingNode):
            waiting += [(inner, depth + 1) for pair in node.value for inner in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(inner, depth + 1) for inner in node.value]

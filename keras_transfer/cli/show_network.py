"""``kt-recipe show FILE.keras``: what a network is as a backbone."""

from __future__ import annotations

import json
from typing import Any

import click

from keras_transfer.networks.custom import KerasFile, read_keras_file
from keras_transfer.quiet import import_tensorflow

__all__ = ["show_network"]

ANY = 224
"""Side of the images in pixels that a network of any size is shown for."""


def show_network(name: str, *, as_json: bool) -> None:
    """Print the input, features and blocks of a ``.keras`` file.

    Raises:
        TransferError: The file cannot be a backbone.
    """
    import_tensorflow()
    file = read_keras_file(name)
    document = _described(name, file)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for line in _lines(file, document):
        click.echo(line)


def _described(name: str, file: KerasFile) -> dict[str, Any]:
    from keras_transfer.networks.blocks import blocks

    backbone = file.backbone(image_size=file.size or ANY)
    features, kept = file.features, file.graph.before(file.features.made[0])
    return {
        "file": name,
        "image_size": file.size,
        "starts_with": file.start,
        "features": features.name,
        "shape": list(backbone.output_shape[1:]),
        "parameters": backbone.count_params(),
        "head": [call.name for call in file.graph.calls if call not in kept],
        "blocks": {
            block: sum(layer.count_params() for layer in layers)
            for block, layers in blocks(backbone).items()
        },
    }


def _lines(file: KerasFile, document: dict[str, Any]) -> list[str]:
    size, shape = document["image_size"], " x ".join(map(str, document["shape"]))
    takes = f"{size} x {size} x 3" if size else "any size x 3: state image_size"
    none = "so preprocessing = none" if file.scales else "state its preprocessing"
    at = "" if size else f" for images of {ANY} x {ANY}"
    blocks = document["blocks"]
    width = max(map(len, blocks), default=0)
    return [
        f"file        {document['file']}",
        f"input       {takes}",
        f"begins with {', '.join(document['starts_with'])}; {none}",
        f"features    {document['features']}: {shape}{at}",
        f"parameters  {document['parameters']:,}",
        f"left out    {', '.join(document['head']) or 'nothing'}",
        "blocks, from input to output, each with its number of parameters:",
        *(f"  {block:<{width}}  {count:>12,}" for block, count in blocks.items()),
    ]

"""``kt-recipe cache``: list or remove stored features of frozen networks."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from keras_transfer.cache import cache_dir
from keras_transfer.features import eviction
from keras_transfer.features.store import Space

__all__ = ["cache"]


@click.group()
def cache() -> None:
    """Show or clear stored features of frozen networks."""


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(as_json: bool) -> None:
    """List stored features, the least recently used first, which is evicted first."""
    rows = [_row(space) for space in eviction.spaces(cache_dir())]
    total = sum(row["bytes"] for row in rows)
    if as_json:
        document = {"folder": str(cache_dir()), "limit": eviction.limit(), "bytes": total}
        click.echo(json.dumps({**document, "features": rows}, ensure_ascii=False))
        return
    for row in rows:
        click.echo(
            f"{row['backbone']} up to {row['boundary']}, {row['image_size']} pixels, "
            f"{row['view']}, {row['precision']}: {row['images']:,} images, "
            f"{row['bytes'] / 1e6:,.0f} MB, used {row['used']}"
        )
    click.echo(f"{total / 1e9:.2f} of {eviction.limit() / 1e9:g} GB (KT_CACHE_GB) in {cache_dir()}")


def _row(space: Space) -> dict[str, Any]:
    names = ("backbone", "boundary", "image_size", "precision")
    return {
        **{name: space.metadata.get(name, "?") for name in names},
        "view": "clean" if space.metadata.get("view") == "clean" else "augmented",
        "images": space.images,
        "bytes": space.size,
        "used": time.strftime("%Y-%m-%d %H:%M", time.localtime(space.used)),
    }


@cache.command()
def clear() -> None:
    """Remove all features except those in use by a run; later runs compute them again."""
    count, size = eviction.clear(cache_dir())
    # On stderr, since stdout is for documents only.
    click.echo(f"Removed {count} sets of features, {size / 1e6:,.0f} MB.", err=True)

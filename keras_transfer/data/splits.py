"""Selection of examples: classes, limit, and splits."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.data.stratify import choose, deal, level, proportional
from keras_transfer.errors import BadConfiguration, BadData, UnknownName

__all__ = ["conflicts", "connected", "keep_classes", "leaks", "limit", "split", "torn_groups"]

logger = logging.getLogger("keras_transfer")


def keep_classes(samples: Samples, names: Sequence[str]) -> Samples:
    """Keep the examples of some classes, and make their order the label order.

    Raises:
        UnknownName: There is no such class.
        BadConfiguration: A class is named twice, or fewer than two are named.
    """
    for name in names:
        if name not in samples.classes:
            raise UnknownName("class", name, samples.classes)
    if len(set(names)) < max(len(names), 2):
        raise BadConfiguration(f"classes={list(names)} should name two or more, each once.")
    new = np.full(len(samples.classes), -1, "int32")
    new[[samples.classes.index(name) for name in names]] = np.arange(len(names))
    kept = samples.take(new[samples.labels] >= 0)
    return replace(kept, classes=tuple(names), labels=new[kept.labels])


def limit(
    samples: Samples, n: int, seed: int, *, val: float | int = 0, test: float | int = 0
) -> Samples:
    """Draw a class-balanced subset of n examples, from which all splits can be made.

    Each class gives as many as the others, or all it has; the rest falls to the larger ones.
    Where the examples already have splits, each split is drawn from in proportion to its size.

    Args:
        samples: The examples to draw from.
        n: Number of examples to keep; all if there are fewer.
        seed: Of the draw.
        val: As ``split`` takes it: the subset has to hold this split too, if the data do not.
        test: The same for the test split.

    Raises:
        BadConfiguration: n cannot hold an example of each class in each split; names the minimum
            that can.
    """
    if n >= len(samples):
        return samples
    given = {name: samples.splits == name for name in ("val", "test")}
    requested = {"val": val, "test": test}
    missing = {name: share for name, share in requested.items() if share and not given[name].any()}
    pool = ~(given["val"] | given["test"])
    pools = {name: mask for name, mask in {"": pool, **given}.items() if mask.any()}
    minimum = np.array([len(np.unique(samples.labels[mask])) for mask in pools.values()])
    if "" in pools:
        minimum[0] = _least(missing, int(minimum[0]), int(pool.sum()))
    if n < minimum.sum():
        raise BadConfiguration(
            f"limit={n} cannot hold one example of each class in each split of the data; "
            f"the minimum is {minimum.sum()}."
        )
    sizes = proportional(np.array([mask.sum() for mask in pools.values()]), n, minimum)
    rng = _stream(seed, "limit")
    drawn = [_balanced(samples, *drawn, rng) for drawn in zip(pools.values(), sizes, strict=True)]
    return samples.take(np.sort(np.concatenate(drawn)))


def _least(missing: dict[str, float | int], classes: int, maximum: int) -> int:
    """Minimum number of examples, up to ``maximum``, for all missing splits."""
    for n in range(classes * (len(missing) + 1), maximum):
        if sum(_count(name, share, n, classes) for name, share in missing.items()) <= n - classes:
            return n
    return maximum


def _balanced(
    samples: Samples, mask: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions of ``size`` examples drawn where the mask is, as many of each class as go."""
    pool = _by_key(samples, mask)
    counts = np.bincount(samples.labels[pool], minlength=len(samples.classes))
    return pool[choose(samples.labels[pool], level(counts, size), rng)]


def _by_key(samples: Samples, mask: np.ndarray) -> np.ndarray:
    """Positions of the mask in key order, so that draws do not depend on file order."""
    positions = np.flatnonzero(mask)
    return positions[np.argsort(samples.keys[positions], kind="stable")]


def _stream(seed: int, purpose: str) -> np.random.Generator:
    """A separate random stream for each purpose."""
    # Not hash(purpose), which differs between processes.
    return np.random.default_rng([seed, *purpose.encode()])


def split(
    samples: Samples,
    *,
    val: float | int,
    test: float | int,
    train: float | int | None = None,
    seed: int,
    train_seed: int | None = None,
) -> Samples:
    """Give every example a split: "train", "val" or "test".

    Examples of one group and exact duplicates stay together. Splits that the data bring along
    are kept; a missing val or test is made from examples that have no split and from train.
    Undecided relatives of the data's own val and test examples join them there.

    Args:
        samples: The examples; their order has no influence. Those without digest or group
            are like no other.
        val: Share in [0, 1) or count of the examples to choose from; 0 makes no such part.
            A share is rounded, up to one example a class at least.
        test: The same for the test split.
        train: Share or count of the train split to keep, class-balanced, dropping the rest of
            it; None keeps all.
        seed: Of the draw.
        train_seed: Of the draw of ``train``, where that is to change without val and test;
            subsets of rising size contain each other. ``seed`` if None.

    Returns:
        The examples in the same order, less those that ``train`` drops.

    Raises:
        BadConfiguration: The splits asked for are too small or too large for these examples.
        BadData: A class is not in the train split or not in a split that is drawn, or all examples
            to train on have weight 0. The data's own val and test may lack classes, with a warning.
    """
    order = _by_key(samples, np.ones(len(samples), bool))
    families = connected(samples.digests[order], samples.groups[order])
    splits = np.empty(len(samples), object)
    # test before val: an undecided relative of both joins the test split.
    splits[order] = _decide(samples.take(order), families, {"test": test, "val": val}, seed)
    result = replace(samples, splits=splits)
    given = {name for name in ("val", "test") if (samples.splits == name).any()}
    if not samples.targets:  # otherwise the classes are strata, and a split may lack some
        _check_every_class(result, {"train": True, "val": val, "test": test}, given)
    _check_weights(result.split("train"))
    if train is None:
        return result
    return _fewer(result, train, seed if train_seed is None else train_seed)


def connected(*relations: np.ndarray) -> np.ndarray:
    """(n,) int32: the same number for examples that share a value, directly or transitively."""
    from scipy.sparse import coo_array  # here: listing recipes must stay instant
    from scipy.sparse.csgraph import connected_components

    edges = []
    for values in relations:
        first: dict[str, int] = {}
        edges += [
            (i, j)
            for i, value in enumerate(values)
            if value and (j := first.setdefault(value, i)) != i
        ]
    ends = np.array(edges, "int32").reshape(-1, 2).T
    n = len(relations[0])
    graph = coo_array((np.ones(len(edges), bool), (ends[0], ends[1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _decide(
    samples: Samples, families: np.ndarray, requested: dict[str, float | int], seed: int
) -> np.ndarray:
    """(n,) object array of str: the split of each example, the data's own splits kept."""
    splits = samples.splits.copy()
    movable = (splits == "") | (splits == "train")
    missing = {}
    for name, share in requested.items():
        given = samples.splits == name
        if not given.any():
            missing[name] = share
            continue
        related = np.isin(families, families[given])
        splits[related & (splits == "")] = name
        movable &= ~related
    pool = np.flatnonzero(movable)
    labels = samples.labels[pool]
    sizes = _sizes(missing, labels)
    names = np.array([*sizes, "train"], object)
    splits[pool] = names[deal(labels, families[pool], [*sizes.values()], _stream(seed, "split"))]
    return splits


def _sizes(requested: dict[str, float | int], labels: np.ndarray) -> dict[str, int]:
    """Number of examples of each requested split."""
    n, classes = len(labels), len(np.unique(labels))
    sizes = {name: _count(name, share, n, classes) for name, share in requested.items() if share}
    enough = n >= classes * (len(sizes) + 1)  # else a class is too small: for BadData to name
    if enough and sum(sizes.values()) > n - classes:
        raise BadConfiguration(
            f"{' and '.join(f'{name}={requested[name]}' for name in sizes)} of {n} examples leave "
            f"fewer than one example of each of the {classes} classes to train on. Reduce them."
        )
    return sizes


def _count(name: str, requested: float | int, n: int, classes: int) -> int:
    """Number of examples for a share or count of n; at least one per class."""
    # By type, because 1 is a count and 1.0 a share.
    if isinstance(requested, float):
        if not 0 < requested < 1:
            raise BadConfiguration(
                f"{name}={requested} should be a share between 0 and 1, or a count."
            )
        return max(round(requested * n), classes)
    if requested < classes:
        raise BadConfiguration(
            f"{name}={requested} cannot hold an example of each of {classes} classes."
        )
    return requested


def _check_every_class(
    samples: Samples, requested: dict[str, float | int], given: set[str]
) -> None:
    """Refuse splits that lack classes; warn if the split is one of the data's own."""
    counts = {name: samples.split(name).counts() for name in SPLITS}
    drawn = {name: counts[name] for name in SPLITS if name not in given and requested[name]}
    for name in given:
        lacking = [f"{samples.classes[label]}" for label in np.flatnonzero(counts[name] == 0)]
        if lacking:
            logger.warning(
                "The %s split of the data lacks classes (%s of %s): %s. Metrics that need them are "
                "not shown.",
                name,
                len(lacking),
                len(samples.classes),
                ", ".join([*lacking[:10], "..."][: len(lacking)]),
            )
    offenders = [
        f"{name}: {count} examples, none in {' and '.join(empty)}"
        for label, (name, count) in enumerate(zip(samples.classes, samples.counts(), strict=True))
        if (empty := [split for split, counts in drawn.items() if not counts[label]])
    ]
    if offenders:
        raise BadData(
            "Every class should have examples in every split of the data that share no group with, "
            "and are no duplicates of, those in another split. Add some, or leave these classes "
            "out:",
            offenders,
        )


def _check_weights(train: Samples) -> None:
    """Refuse examples to train on that do not count; warn of a class of which none does."""
    if not train.weights.any():
        raise BadData(
            f"All {len(train):,} examples to train on have weight 0, so nothing would be learned. "
            "Give some of them a weight above 0, or remove the column weight."
        )
    sums = np.bincount(train.labels, train.weights, len(train.classes))
    if names := [train.classes[label] for label in np.flatnonzero(sums == 0)]:
        logger.warning("Warning: all examples of %s to train on have weight 0", ", ".join(names))


def _fewer(samples: Samples, train: float | int, seed: int) -> Samples:
    """Keep a class-balanced share or count of the train split."""
    is_train = samples.splits == "train"
    n = int(is_train.sum())
    size = min(_count("train", train, n, len(samples.classes)), n)
    kept = ~is_train
    kept[_balanced(samples, is_train, size, _stream(seed, "train"))] = True
    return samples.take(kept)


def leaks(samples: Samples) -> list[str]:
    """Find exact duplicates on two sides of the splits that the data bring along.

    Returns:
        One line for each such example: "train/cat/a.jpg = test/cat/b.jpg".
    """
    return [
        " = ".join(samples.keys[same])
        for same in _duplicates(samples)
        if len({split for split in samples.splits[same] if split}) > 1
    ]


def torn_groups(samples: Samples) -> list[str]:
    """List the groups that lie in several of the user's splits, with these splits."""
    splits: dict[str, set[str]] = {}
    for group, split in zip(samples.groups, samples.splits, strict=True):
        if group and split:
            splits.setdefault(group, set()).add(split)
    return [f"{group}: {', '.join(sorted(p))}" for group, p in sorted(splits.items()) if len(p) > 1]


def conflicts(samples: Samples) -> list[str]:
    """Find exact duplicates that have different labels.

    Returns:
        One line for each such example: "a.jpg (cat) = b.jpg (dog)".
    """
    return [
        " = ".join(f"{samples.keys[i]} ({samples.classes[samples.labels[i]]})" for i in same)
        for same in _duplicates(samples)
        if len(np.unique(samples.labels[same])) > 1
    ]


def _duplicates(samples: Samples) -> Iterable[np.ndarray]:
    """Positions of the examples of each digest that several have: train, val, test, by key."""
    order: dict[Any, int] = {name: i for i, name in enumerate((*SPLITS, ""))}
    rows: dict[str, list[int]] = {}
    for i, digest in enumerate(samples.digests):
        rows.setdefault(digest, []).append(i)
    # Images without a digest are no copies of each other.
    rows.pop("", None)
    copies = [group for group in rows.values() if len(group) > 1]
    for group in copies:
        group.sort(key=lambda i: (order[samples.splits[i]], samples.keys[i]))
    copies.sort(key=lambda group: samples.keys[group[0]])
    return (np.array(group) for group in copies)

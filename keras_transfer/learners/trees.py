"""Trees of scikit-learn as one table of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.learners.heads import TreesHead
from keras_transfer.learners.linear import ABSENT

__all__ = ["boosted_trees", "forest"]


class _Tree(NamedTuple):
    """One tree; its children are numbered within it, -1 in leaves."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


def forest(trees: Sequence[Any], known: np.ndarray, classes: int) -> TreesHead:
    """The mean of the class shares in the leaves of decision trees.

    Args:
        trees: Fitted ``DecisionTreeClassifier``s.
        known: (k,) int classes of their outputs.
        classes: Number of all classes.
    """
    found = []
    for tree in (estimator.tree_ for estimator in trees):
        counts = tree.value[:, 0, :]
        value = np.zeros((tree.node_count, classes))
        value[:, known] = counts / counts.sum(axis=1, keepdims=True) / len(trees)
        found.append(
            _Tree(tree.feature, tree.threshold, tree.children_left, tree.children_right, value)
        )
    return _joined(found, np.zeros(classes), logits=False)


def boosted_trees(model: Any, classes: int) -> TreesHead:
    """The logits of a fitted ``HistGradientBoostingClassifier`` without categorical features."""
    known, two = model.classes_, len(model.classes_) == 2
    found = []
    # scikit-learn has no public way to these trees; a test compares their sum with its decisions.
    for round_ in model._predictors:
        for place, predictor in enumerate(round_):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            value = np.zeros((len(nodes), classes))
            raw = np.where(leaf, nodes["value"], 0.0)
            if two:  # the softmax of (-raw / 2, raw / 2) is the sigmoid of raw
                value[:, known] = np.stack([-raw, raw], axis=1) / 2
            else:
                value[:, known[place]] = raw
            left, right = (
                np.where(leaf, -1, nodes[side].astype("int64")) for side in ("left", "right")
            )
            threshold = np.where(leaf, 0.0, nodes["num_threshold"])
            feature = nodes["feature_idx"].astype("int64")
            found.append(_Tree(feature, threshold, left, right, value))
    bias = np.full(classes, ABSENT)
    start = model._baseline_prediction.ravel()
    bias[known] = np.array([-start[0], start[0]]) / 2 if two else start
    return _joined(found, bias, logits=True)


def _joined(trees: Sequence[_Tree], bias: np.ndarray, *, logits: bool) -> TreesHead:
    starts = np.cumsum([0, *(len(tree.left) for tree in trees)])
    leaf = np.concatenate([tree.left < 0 for tree in trees])
    own = np.arange(starts[-1])

    def children(side: str) -> np.ndarray:
        moved = [getattr(tree, side) + start for tree, start in zip(trees, starts, strict=False)]
        return np.where(leaf, own, np.concatenate(moved)).astype("int32")

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees])

    return TreesHead(
        np.where(leaf, 0, column("feature")).astype("int32"),
        _rounded_down(np.where(leaf, 0.0, column("threshold"))),
        children("left"),
        children("right"),
        np.where(leaf[:, None], column("value"), 0.0).astype("float32"),
        starts[:-1].astype("int32"),
        max(_depth(tree) for tree in trees),
        bias.astype("float32"),
        logits,
    )


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 at most each float64: the same float32 features are at most it."""
    nearest = thresholds.astype("float32")
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype("float64") > thresholds, below, nearest)


def _depth(tree: _Tree) -> int:
    """Most steps from the root to a leaf."""
    depth, level = 0, np.array([0])
    while True:
        level = level[tree.left[level] >= 0]
        if not len(level):
            return depth
        level = np.concatenate([tree.left[level], tree.right[level]])
        depth += 1

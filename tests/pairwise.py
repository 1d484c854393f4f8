"""Few rows in which every two values of different settings stand together at least once."""

import itertools


def covering(counts, refused):
    """A pairwise covering array, greedy: the rows that cover most new pairs come first.

    Args:
        counts: How many values each setting has, by its name.
        refused: Sets of (setting, number of a value) that may not stand in one row together.

    Returns:
        Rows, {setting: number of a value}.

    Raises:
        LookupError: A pair that is not refused, and that no row can hold all the same.
    """
    cells = [[(setting, i) for i in range(n)] for setting, n in counts.items()]
    pairs = {
        frozenset(pair)
        for ones, others in itertools.combinations(cells, 2)
        for pair in itertools.product(ones, others)
    }
    left = {pair: None for pair in sorted(pairs - set(refused), key=sorted)}
    bound = {setting for combination in refused for setting, _ in combination}
    order = sorted(counts, key=lambda setting: (setting not in bound, -counts[setting]))
    rows = []
    while left:
        row = _row(frozenset(next(iter(left))), order, counts, refused, left)
        if row is None:
            raise LookupError(f"no row can hold {sorted(next(iter(left)))}")
        for pair in itertools.combinations(row, 2):
            left.pop(frozenset(pair), None)
        rows.append(dict(row))
    return rows


def _row(row, order, counts, refused, left):
    """Fill a row up, setting by setting, by the value that covers most; go back if none is left."""
    if any(combination <= row for combination in refused):
        return None
    known = {setting for setting, _ in row}
    setting = next((one for one in order if one not in known), None)
    if setting is None:
        return row

    def gain(cell):
        return sum(frozenset((cell, other)) in left for other in row)

    cells = sorted(((setting, i) for i in range(counts[setting])), key=gain, reverse=True)
    filled = (_row(row | {cell}, order, counts, refused, left) for cell in cells)
    return next((one for one in filled if one is not None), None)

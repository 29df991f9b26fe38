"""Square attack, L-infinity, on the opponent's answers: random search with squares (arXiv 1912.00049, algorithms 1 and 2)."""

import numpy as np

from harness.sdk import REJECTED, Oracle, run_query_attack

SHARE, SEED = 0.3, 0
#: The share of pixels in a square is halved at these queries of 10,000 (section 4.1); fewer queries shrink the schedule.
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
#: The data set's first label, whose score is the first column.
FIRST_LABEL = 0


def side(query: int, budget: int, height: int) -> int:
    """Return the square's side at a query."""
    share = SHARE / 2 ** sum(query * 10_000 / budget > limit for limit in HALVED)
    return min(max(round((share * height**2) ** 0.5), 1), height - 1)


def attack(images: np.ndarray, bound: int, oracle: Oracle) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; an image that is fooled, or may ask no more, is left as it then is."""
    random = np.random.default_rng(SEED)
    count, height, width, channels = images.shape
    clean = images.astype(np.int16)
    labels = oracle.labels(images, np.arange(count))
    made = np.clip(clean + bound * random.choice((-1, 1), (count, 1, width, channels)), 0, 255).astype(np.int16)
    leads, told = asked(made, np.arange(count), labels, oracle)
    left = np.flatnonzero(told & (leads > 0))
    query = 2
    while len(left):
        size = side(query, oracle.budget, height)
        tried = made[left]
        for row, index in zip(tried, left, strict=True):
            top, start = random.integers(0, height - size + 1), random.integers(0, width - size + 1)
            square = (slice(top, top + size), slice(start, start + size))
            row[square] = np.clip(clean[index][square] + bound * random.choice((-1, 1), channels), 0, 255)
        found, told = asked(tried, left, labels, oracle)
        better = told & (found < leads[left])
        made[left[better]], leads[left[better]] = tried[better], found[better]
        left = left[told & (leads[left] > 0)]
        query += 1
    return made.astype(np.uint8)


def asked(pixels: np.ndarray, index: np.ndarray, labels: np.ndarray, oracle: Oracle) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the label leads all others, not above 0 where it has fooled, and which rows were answered.

    The margin of scores, or 1 and -1 where the defense gives none.
    """
    rows = pixels.astype(np.uint8)
    if not oracle.classes:
        answers = oracle.labels(rows, index)
        return np.where(answers == labels[index], 1.0, -1.0), answers >= REJECTED
    answers, scores = oracle(rows, index)
    own = np.arange(scores.shape[1]) == labels[index][:, None] - FIRST_LABEL
    with np.errstate(invalid="ignore"):
        margin = np.where(own, scores, -np.inf).max(1) - np.where(own, -np.inf, scores).max(1)
    # A rejected image fools nobody.
    kept = np.where((answers == labels[index]) | (answers == REJECTED), 1.0, -1.0)
    return np.where(np.isfinite(margin) & (answers != REJECTED), margin, kept), answers >= REJECTED


if __name__ == "__main__":
    run_query_attack(attack)

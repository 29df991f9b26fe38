"""GenAttack: a population of changes is bred towards the target class (Alzantot et al., arXiv 1805.11090).

The paper's fitness is made of scores, and so it is here where the tournament answers them and the defense gives any. Where there
are labels alone, a member's fitness is how many of its noisy copies get the target class (the proxy of Ilyas et al., arXiv
1804.08598, section 4.3).
"""

import numpy as np

from harness.sdk import REJECTED, Oracle, run_targeted_query_attack

POPULATION = 6
#: Copies of a member that vote on its fitness, itself the first of them.
VOTES = 4
#: Mutation, at first and at least, and what it is multiplied by where the best has not become better: how many values change, and
#: by how much of the bound.
RATE, LEAST_RATE, SPREAD, LEAST_SPREAD, DECAY = 0.5, 0.1, 0.4, 0.15, 0.9
#: Fitness is divided by it before the softmax that chooses parents.
TEMPERATURE = 0.3
#: The data set's first label, whose score is the first column.
FIRST_LABEL = 0


def attack(images: np.ndarray, targets: np.ndarray, bound: int, oracle: Oracle) -> np.ndarray:
    """Return uint8 [n, h, w, 3]: of each image the member that was the fittest."""
    random = np.random.default_rng(0)
    count, clean = len(images), images.astype(np.int16)[:, None]
    low, high = np.maximum(clean - bound, 0), np.minimum(clean + bound, 255)
    members = np.clip(clean + random.integers(-bound, bound + 1, (count, POPULATION, *images.shape[1:])), low, high)
    plateaus = np.zeros(count)
    best = np.full(count, -np.inf)
    made = images.copy()
    alive = np.ones(count, dtype=bool)
    scored = gives_scores(images, oracle)
    while alive.any():
        index = np.flatnonzero(alive)
        if scored:
            fitness, hit, told = judged_by_scores(members[index], index, targets, oracle)
        else:
            fitness, hit, told = judged_by_labels(members[index], index, targets, bound, oracle, random)
        fittest = fitness.argmax(1)
        highest = fitness.max(1)
        better = told & (highest > best[index])
        made[index[better]] = members[index, fittest][better]
        plateaus[index] += ~better
        best[index] = np.maximum(best[index], highest)
        alive[index] = told & ~hit
        rate = np.maximum(LEAST_RATE, RATE * DECAY ** plateaus[index])
        spread = np.maximum(LEAST_SPREAD, SPREAD * DECAY ** plateaus[index])
        members[index] = np.clip(bred(members[index], fitness, rate, spread * bound, random), low[index], high[index])
    return made


def gives_scores(images: np.ndarray, oracle: Oracle) -> bool:
    """Say whether the defense gives scores, at one query of the first image."""
    return bool(oracle.classes and np.isfinite(oracle(images[:1], np.zeros(1, dtype=np.int64))[1]).all())


def judged_by_scores(
    members: np.ndarray, index: np.ndarray, targets: np.ndarray, oracle: Oracle
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fitness [m, population], the target's score less the others' together, and the rest as ``judged_by_labels``."""
    count, shape = len(members), members.shape[2:]
    labels, scores = oracle(members.astype(np.uint8).reshape(-1, *shape), np.repeat(index, POPULATION))
    labels, wanted = labels.reshape(count, POPULATION), np.repeat(targets[index], POPULATION)
    own = np.arange(scores.shape[1]) == wanted[:, None] - FIRST_LABEL
    others = np.where(own, -np.inf, scores)
    highest = others.max(1)
    together = highest + np.log(np.exp(others - highest[:, None]).sum(1))
    # An image that was not answered is not bred any further, whatever its fitness.
    fitness = np.nan_to_num(scores[own] - together, nan=0.0).reshape(count, POPULATION)
    return fitness, (labels == targets[index][:, None]).any(1), (labels >= REJECTED).all(1)


def judged_by_labels(
    members: np.ndarray, index: np.ndarray, targets: np.ndarray, bound: int, oracle: Oracle, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fitness [m, population], whether a member itself hit the target [m], and whether all was answered [m]."""
    count, shape = len(members), members.shape[2:]
    copies = np.repeat(members[:, :, None], VOTES, 2)
    copies[:, :, 1:] += random.integers(-bound, bound + 1, copies[:, :, 1:].shape, dtype=np.int16)
    rows = copies.clip(0, 255).astype(np.uint8).reshape(-1, *shape)
    labels = oracle.labels(rows, np.repeat(index, POPULATION * VOTES)).reshape(count, POPULATION, VOTES)
    hits = labels == targets[index][:, None, None]
    # A member that is the target itself is fitter than any that only its copies speak for.
    fitness = (hits.mean(2) + hits[:, :, 0]) / 2
    return fitness, hits[:, :, 0].any(1), (labels >= REJECTED).all((1, 2))


def bred(
    members: np.ndarray, fitness: np.ndarray, rate: np.ndarray, spread: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Return the next population: the fittest as it is, and children of two parents each, mutated."""
    count, shape = len(members), members.shape[2:]
    weight = np.exp((fitness - fitness.max(1, keepdims=True)) / TEMPERATURE)
    chance = weight / weight.sum(1, keepdims=True)
    next_ = np.empty_like(members)
    for row in range(count):
        mother, father = random.choice(POPULATION, (2, POPULATION), p=chance[row])
        from_mother = weight[row, mother] / np.maximum(weight[row, mother] + weight[row, father], np.finfo(float).tiny)
        taken = random.random((POPULATION, *shape)) < from_mother[:, None, None, None]
        children = np.where(taken, members[row, mother], members[row, father])
        mutated = random.random(children.shape) < rate[row]
        next_[row] = children + np.rint(mutated * random.uniform(-spread[row], spread[row], children.shape)).astype(np.int16)
        next_[row, 0] = members[row, fitness[row].argmax()]
    return next_


if __name__ == "__main__":
    run_targeted_query_attack(attack)

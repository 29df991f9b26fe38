"""GenAttack: a population of changes is bred towards the target class (Alzantot et al., arXiv 1805.11090).

The paper's fitness is made of scores. A defense here answers labels, so a member's fitness is how many of its noisy copies get
the target class (the proxy of Ilyas et al., arXiv 1804.08598, section 4.3).
"""

import numpy as np

from harness.sdk import REJECTED, Oracle, run_targeted_query_attack

POPULATION = 6
#: Copies of a member that vote on its fitness, itself the first of them.
VOTES = 4
#: Mutation, at first and at least, and what it is multiplied by where the best has not become better: how many values change, and
#: by how much of the bound.
RATE, LEAST_RATE, SPREAD, LEAST_SPREAD, DECAY = 0.5, 0.1, 0.4, 0.15, 0.9
#: Fitness, 0..1, is divided by it before the softmax that chooses parents.
TEMPERATURE = 0.3


def attack(images: np.ndarray, targets: np.ndarray, bound: int, oracle: Oracle) -> np.ndarray:
    """Return uint8 [n, h, w, 3]: of each image the member that was the fittest."""
    random = np.random.default_rng(0)
    count, clean = len(images), images.astype(np.int16)[:, None]
    low, high = np.maximum(clean - bound, 0), np.minimum(clean + bound, 255)
    members = np.clip(clean + random.integers(-bound, bound + 1, (count, POPULATION, *images.shape[1:])), low, high)
    plateaus = np.zeros(count)
    best = np.full(count, -1.0)
    made = images.copy()
    alive = np.ones(count, dtype=bool)
    while alive.any():
        index = np.flatnonzero(alive)
        fitness, hit, told = judged(members[index], index, targets, bound, oracle, random)
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


def judged(
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
        share = fitness[row, mother] + fitness[row, father]
        from_mother = np.where(share > 0, fitness[row, mother] / np.where(share > 0, share, 1), 0.5)
        taken = random.random((POPULATION, *shape)) < from_mother[:, None, None, None]
        children = np.where(taken, members[row, mother], members[row, father])
        mutated = random.random(children.shape) < rate[row]
        next_[row] = children + np.rint(mutated * random.uniform(-spread[row], spread[row], children.shape)).astype(np.int16)
        next_[row, 0] = members[row, fitness[row].argmax()]
    return next_


if __name__ == "__main__":
    run_targeted_query_attack(attack)

"""HopSkipJump for L-infinity: walk along a defense's boundary, knowing its labels only (Chen et al., arXiv 1904.02144)."""

import numpy as np

from harness.sdk import REJECTED, Oracle, run_query_attack, within

#: Starts that an image tries until one is labelled otherwise: uniform noise, then images of the batch that have another label.
NOISES, OTHERS = 5, 3
#: Questions for the first gradient; the t-th takes sqrt(t) times as many.
PROBES = 50
#: How far a probe goes from the boundary, in pixel values. The paper's is a fraction of one, which no 8-bit image shows.
PROBE = 4
HALVINGS = 6


class Walk:
    """Where each image stands: the closest adversarial one so far, its distance, and whether it may still ask."""

    def __init__(self, images: np.ndarray, oracle: Oracle) -> None:
        self.clean, self.oracle = images.astype(np.float64), oracle
        self.labels = oracle.labels(images, np.arange(len(images)))
        self.alive = self.labels >= REJECTED
        self.found = np.zeros(len(images), dtype=bool)
        self.adversarial = self.clean.copy()

    def fools(self, pixels: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return which rows get another label than their clean image; one query each."""
        labels = self.oracle.labels(np.rint(pixels).clip(0, 255).astype(np.uint8), index)
        self.alive[index[labels < REJECTED]] = False
        return (labels > REJECTED) & (labels != self.labels[index])

    def distance(self, index: np.ndarray) -> np.ndarray:
        """Return the L-infinity distances from the clean images."""
        return np.abs(self.adversarial[index] - self.clean[index]).max((1, 2, 3))

    def walking(self) -> np.ndarray:
        """Return the images that have a start and may ask."""
        return np.flatnonzero(self.found & self.alive)


def attack(images: np.ndarray, bound: int, oracle: Oracle) -> np.ndarray:
    """Return uint8 [n, h, w, 3]: the closest that was found, cut to the bound."""
    random = np.random.default_rng(0)
    walk = Walk(images, oracle)
    start(walk, random)
    approach(walk)
    step = 0
    while len(index := walk.walking()[walk.distance(walk.walking()) > 1]):
        step += 1
        jump(walk, index, gradient(walk, index, int(PROBES * step**0.5), random), step)
        approach(walk)
    return within(images, walk.adversarial, bound)


def start(walk: Walk, random: np.random.Generator) -> None:
    """Give each image one that is labelled otherwise; a net may have a single label for all noise."""
    for attempt in range(NOISES + OTHERS):
        index = np.flatnonzero(walk.alive & ~walk.found)
        if not len(index):
            return
        tried = np.rint(random.uniform(0, 255, walk.clean[index].shape))
        if attempt >= NOISES:
            for row, image in enumerate(index):
                differing = np.flatnonzero(walk.labels != walk.labels[image])
                if len(differing):
                    tried[row] = walk.clean[random.choice(differing)]
        fooled = walk.fools(tried, index)
        walk.adversarial[index[fooled]] = tried[fooled]
        walk.found[index[fooled]] = True


def approach(walk: Walk) -> None:
    """Search by halves for the smallest bound to which the adversarial image may be cut."""
    index = walk.walking()
    far = walk.adversarial[index]
    low, high = np.zeros(len(index)), walk.distance(index)
    while (open_ := walk.alive[index] & (high - low > 1)).any():
        middle = np.floor((low + high) / 2)
        part = np.flatnonzero(open_)
        radius = middle[part][:, None, None, None]
        clean = walk.clean[index[part]]
        cut = far[part].clip(clean - radius, clean + radius)
        fooled = walk.fools(cut, index[part])
        walk.adversarial[index[part[fooled]]] = cut[fooled]
        high[part[fooled]], low[part[~fooled]] = middle[part[fooled]], middle[part[~fooled]]


def gradient(walk: Walk, index: np.ndarray, probes: int, random: np.random.Generator) -> np.ndarray:
    """Estimate the direction in which each image becomes more adversarial: probes that do, less those that do not."""
    shape = (len(index), probes, *walk.clean.shape[1:])
    around = walk.adversarial[index][:, None]
    probed = np.clip(around + PROBE * random.choice((-1.0, 1.0), shape), 0, 255)
    fooled = walk.fools(probed.reshape(-1, *shape[2:]), np.repeat(index, probes)).reshape(shape[:2])
    sign = np.where(fooled, 1.0, -1.0)
    mean = sign.mean(1, keepdims=True)
    weight = np.where(np.abs(mean) == 1, sign, sign - mean)
    return (weight[:, :, None, None, None] * (probed - around)).mean(1)


def jump(walk: Walk, index: np.ndarray, direction: np.ndarray, step: int) -> None:
    """Go along the direction's sign, half as far until the image is adversarial still."""
    size = walk.distance(index) / step**0.5
    for _ in range(HALVINGS):
        if not len(index):
            return
        moved = np.rint(walk.adversarial[index] + size[:, None, None, None] * np.sign(direction)).clip(0, 255)
        fooled = walk.fools(moved, index)
        walk.adversarial[index[fooled]] = moved[fooled]
        left = ~fooled & walk.alive[index]
        index, direction, size = index[left], direction[left], size[left] / 2


if __name__ == "__main__":
    run_query_attack(attack)

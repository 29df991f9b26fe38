"""What scoring is given of detectors: their scores per (detector, attack, image), on both sides.

Each image that an attack changed is shown to a detector twice, in two runs that know nothing of each other: once attacked and
once clean. The scores stand beside each other, so that both move together when images are resampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """Scores of T detectors on what A attacks made of N images in B batches. Higher means more likely adversarial.

    An image without a score holds what costs the detector most, so there is no NaN. What lies at images that were not shown,
    or whose runs have not ended, is ignored.

    Attributes:
        attacks: Names of all attacks, as ``Results.attacks`` has them and in that order.
        detectors: Names, as ``Results.detectors`` has them and in that order.
        attacked: float32[T, A, N], the score where the image was shown attacked; -inf where none was given.
        clean: float32[T, A, N], the score where the same image was shown clean, in the other half; +inf where none was given.
        shown: bool[A, N], whether the image is in the halves: the attack produced and changed it.
        done: bool[T, A, B], whether the detector's runs on both halves of the attack's batch have a result.
    """

    attacks: tuple[str, ...]
    detectors: tuple[str, ...]
    attacked: NDArray[np.float32]
    clean: NDArray[np.float32]
    shown: NDArray[np.bool_]
    done: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together: a silent broadcast would be a silent wrong score."""
        detectors, attacks, images = len(self.detectors), len(self.attacks), self.shown.shape[-1]
        expected = {
            "attacked": ((detectors, attacks, images), np.float32), "clean": ((detectors, attacks, images), np.float32),
            "shown": ((attacks, images), np.bool_), "done": ((detectors, attacks, self.done.shape[-1]), np.bool_),
        }
        for name, (shape, dtype) in expected.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype != dtype:
                message = f"{name} is {found.dtype}{list(found.shape)}, expected {np.dtype(dtype)}{list(shape)}"
                raise ValueError(message)

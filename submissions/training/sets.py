"""The data sets that entries are trained on: each with ``training_set``, ``tournament_images`` and ``augment``."""

import digits
import shapes

SETS = {"digits": digits, "shapes": shapes}

"""A seed and the place where chance is needed become a random generator.

Every random choice is a function of where it is made (epoch, frame, purpose), never of how many were made before: a
resumed run is the same run.
"""

import numpy as np


def generator(seed: int, *place: int) -> np.random.Generator:
    """Counter-based generator (Philox4x64, Salmon et al. 2011) of a seed and up to three integers."""
    if len(place) > 3:
        raise ValueError(f"a place has at most three numbers, found {len(place)}")
    counter = [0, *place, *([0] * (3 - len(place)))]
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))

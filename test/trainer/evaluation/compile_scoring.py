"""Compile what scores, once: test processes that start side by side would each do so for themselves.

Run: python test/trainer/evaluation/compile_scoring.py
"""

import sys
from pathlib import Path

import numpy as np

root = Path(__file__).parents[3]
sys.path[:0] = [str(root / "trainer"), str(Path(__file__).parent)]

from samples import measure_sample  # noqa: E402  # the paths come first

from proving_ground.evaluation import compare  # noqa: E402

candidate, production = measure_sample(1, 4), measure_sample(2, 4)
compare(candidate, production, [], resamples=8, seed=1, total_frames=4, units=np.arange(4))

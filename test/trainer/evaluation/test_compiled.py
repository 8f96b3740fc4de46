"""What scores ..."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "trainer/proving_ground"
# Where numba has no place for a cache, what is compiled is right all the same.
PROGRAM = """
import numpy as np
import proving_ground.evaluate
from proving_ground.evaluation import intervals
counts = np.zeros((1, 3), dtype=np.int32)
intervals.count_draws(np.array([[0, 2, 2]], dtype=np.int32), counts)
print(counts.tolist(), intervals.count_draws.stats.cache_path)
"""
# The same of one function alone, which takes no seconds to load.
ONE = """
import numpy as np
from proving_ground.evaluation import intervals
counts = np.zeros((1, 3), dtype=np.int32)
intervals.count_draws(np.array([[0, 2, 2]], dtype=np.int32), counts)
print(counts.tolist(), intervals.count_draws.stats.cache_path)
"""


def test_is_compiled_where_nothing_can_be_written(tmp_path: Path) -> None:
    copy = shutil.copytree(PACKAGE, tmp_path / "proving_ground", ignore=shutil.ignore_patterns("__pycache__"))
    # Below a file there is no place for a folder, whoever asks.
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").write_text("")
    nowhere = str(tmp_path / "proving_ground/__init__.py/nowhere")
    unset = {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX"}
    own = {name: value for name, value in os.environ.items() if name not in unset}
    environment = {**own, "PYTHONPATH": str(tmp_path), "HOME": nowhere, "PYTHONDONTWRITEBYTECODE": "1"}
    for places, program in (({}, PROGRAM), ({"NUMBA_CACHE_DIR": nowhere}, ONE)):
        done = subprocess.run(
            [sys.executable, "-c", program], env={**environment, **places}, capture_output=True, text=True, check=False
        )
        assert done.stdout == "[[1, 0, 2]] None\n", done.stderr

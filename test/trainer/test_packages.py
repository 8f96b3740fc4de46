"""What a plan starts of the trainer imports no more than trainer/requirements-data.txt locks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proving_ground.__main__ import IMPORTERS

TRAINER = Path(__file__).parents[2] / "trainer"
SCENES = {
    "seed": 1,
    "width": 32,
    "height": 32,
    "splits": {"train": [{"frames": 2}], "val": [{"frames": 1}], "test": [{"frames": 1}]},
    "slices": [{"name": "night", "where": {"timeofday": "night"}}],
    "categories": {"detection": ["vehicle"], "segmentation": ["background", "road"]},
}
# Only what is locked can be imported, as where nothing else is installed.
ALONE = """
import importlib.metadata, re, runpy, sys
locked = set(sys.argv.pop(1).split(","))
distributions = importlib.metadata.packages_distributions()

class Alone:
    def find_spec(self, name, path=None, target=None):
        named = {re.sub("[-_.]+", "-", it).lower() for it in distributions.get(name, ())}
        if named and not named & locked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Alone())
runpy.run_module("proving_ground", run_name="__main__", alter_sys=True)
"""


def locked(name: str) -> dict[str, str]:
    """Packages of a lock file by their name and version, each with its digests."""
    entries = re.split(r"\n(?=[a-z0-9])", (TRAINER / name).read_text())[1:]
    return {entry.split()[0]: " ".join(re.findall(r"sha256:\w+", entry)) for entry in entries}


PACKAGES = sorted(name.split("==")[0] for name in locked("requirements-data.txt"))


def run_alone(*arguments: str, given: str = "", packages: list[str] = PACKAGES) -> subprocess.CompletedProcess[str]:
    """The trainer's command where no other packages are."""
    command = [sys.executable, "-c", ALONE, ",".join(packages), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, cwd=TRAINER, check=False)


def test_data_are_made_and_packed_without_any_other(tmp_path: Path) -> None:
    made = run_alone("import", "scenes", "--spec", "-", "--out", str(tmp_path / "scenes"), given=json.dumps(SCENES))
    assert made.returncode == 0, made.stderr
    packed = run_alone("shards", str(tmp_path / "scenes"), str(tmp_path / "shards"))
    assert packed.returncode == 0, packed.stderr


@pytest.mark.parametrize("importer", IMPORTERS)
def test_every_importer_is_there_without_any_other(importer: str, tmp_path: Path) -> None:
    # An empty specification is refused by the importer itself.
    made = run_alone("import", importer, "--spec", "-", "--out", str(tmp_path / "out"), given="{}")
    assert "No module named" not in made.stderr
    assert "proving_ground/importers/" in made.stderr or made.returncode == 65, made.stderr


def test_without_one_of_them_nothing_is_made(tmp_path: Path) -> None:
    fewer = [name for name in PACKAGES if name != "numpy"]
    made = run_alone(
        "import", "scenes", "--spec", "-", "--out", str(tmp_path / "scenes"), given=json.dumps(SCENES), packages=fewer
    )
    assert made.returncode == 1
    assert "No module named 'numpy'" in made.stderr


def test_they_are_those_of_a_training() -> None:
    small = locked("requirements-data.txt")
    assert not any(name.startswith(("torch", "nvidia")) for name in small)
    for whole in ("requirements.txt", "requirements-cuda.txt"):
        assert small.items() <= locked(whole).items()

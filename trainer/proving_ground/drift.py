"""Two data profiles become what has drifted between them, by Evidently.

A process of its own, `python -m proving_ground.drift REFERENCE CURRENT OUT`: Evidently takes seconds to import, and
training goes on meanwhile.
"""

import argparse
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.profile import ATTRIBUTE, CLASS, MAX_CHARACTERS, NUMERIC, check_profile
from proving_ground.errors import LostWorker, Refused
from proving_ground.files import read_json, write_json

# How the means of numeric columns are called and written in a sentence.
SAID = {
    "brightness": ("brightness", lambda mean: f"{mean:.0f}"),
    "contrast": ("contrast", lambda mean: f"{mean:.0f}"),
    "sharpness": ("sharpness", lambda mean: f"{mean:.2f}"),
    "boxes": ("boxes in a frame", lambda mean: f"{mean:.1f}"),
    "box_size": ("box size", lambda mean: f"{10**mean:.2g} % of the image"),
    "speed": ("speed", lambda mean: f"{mean:.1f} m/s"),
    "path_length": ("path length", lambda mean: f"{mean:.1f} m"),
}
ORDER = ("brightness", "contrast", "sharpness", "boxes", "box_size", CLASS, "speed", "path_length")
# With fewer frames nothing is said.
MIN_FRAMES = 30
# The smallest drift that is worth telling: Evidently's own default for both distances.
MIN_DRIFT = 0.1
# Two samples of one distribution lie further apart than this many times sqrt(1/n + 1/m) standard deviations (simulated:
# normal, uniform, exponential, Laplace, two peaks), or than this quantile, in about one of ten thousand comparisons.
WASSERSTEIN_NOISE, JENSEN_SHANNON_NOISE = 4.0, 1 - 1e-4
# A value that would be expected so often and is never seen has gone; by chance that happens once in 20,000 times.
EXPECTED = 10


def compare(reference: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """What has drifted between two profiles, by Evidently; imports it, which takes seconds, where they differ at all.

    Numbers are compared by the Wasserstein distance in standard deviations of the reference, categories by the
    Jensen-Shannon distance; allowed() says how much of either is none.

    Returns:
        columns: column, method, value and threshold (None where not compared), drifted, and a note that says why not.
        drifted: the names. share: of the columns that were compared. sentences: for people. reference and current:
        name, version and number of frames.

    Raises:
        Refused: a profile is of another version, or damaged.
    """
    both = check_profile(reference, "the reference"), check_profile(current, "the current data")
    names = sorted({*reference["columns"], *current["columns"]}, key=order)
    notes = {name: why_not(name, *both) for name in names}
    limits = {
        name: allowed(reference["columns"][name], current["columns"][name]) for name in names if notes[name] is None
    }
    differ = any(reference["columns"][name] != current["columns"][name] for name in limits)
    values = measure(limits, *both) if differ else dict.fromkeys(limits, 0.0)
    columns = [
        {
            "column": name,
            "method": method_of(name) if name in limits else None,
            "value": values.get(name),
            "threshold": limits.get(name),
            "drifted": name in limits and values[name] >= limits[name],
            "note": notes[name],
        }
        for name in names
    ]
    drifted = [item["column"] for item in columns if item["drifted"]]
    return {
        "schema": 1,
        "reference": {key: reference[key] for key in ("name", "version", "frames")},
        "current": {key: current[key] for key in ("name", "version", "frames")},
        "columns": columns,
        "drifted": drifted,
        "share": round(len(drifted) / len(limits), 4) if limits else 0.0,
        "sentences": sentences(columns, *both),
    }


def order(column: str) -> tuple[int, str]:
    """Where a column stands among others: images, boxes, tracks, attributes by name."""
    return (ORDER.index(column), "") if column in ORDER else (len(ORDER), column)


def method_of(column: str) -> str:
    """Evidently's name of the distance for a column."""
    return "wasserstein" if column in NUMERIC else "jensenshannon"


def why_not(column: str, reference: Mapping[str, Any], current: Mapping[str, Any]) -> str | None:
    """Why a column can't be compared, or None where it can."""
    old, new = (profile["columns"].get(column) for profile in (reference, current))
    if old is None or new is None:
        return "only in these data" if old is None else "only in the reference"
    if column == "sharpness" and reference["image_size"] != current["image_size"]:
        sizes = ["x".join(map(str, profile["image_size"])) for profile in (reference, current)]
        return f"measured at {sizes[0]} in the reference and at {sizes[1]} now"
    if min(old["independent"], new["independent"]) < MIN_FRAMES:
        return f"too few frames to tell: {new['independent']:.0f} against {old['independent']:.0f}"
    if old["kind"] == "categorical" and not (old["counts"] and new["counts"]):
        return f"too many values to compare: {new['distinct']} against {old['distinct']}"
    return None


def allowed(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """The distance from which a column has drifted: MIN_DRIFT, or what chance does between so few frames.

    Wasserstein: in proportion to sqrt(1/n + 1/m), in the standard deviation of both together where the reference has
    less. Jensen-Shannon: between samples of one distribution its square is a chi-square variable, of as many degrees of
    freedom as there are values less one, times (1/n + 1/m) / 8 (Menendez et al. 1997).
    """
    from scipy.stats import chi2

    chance = 1 / old["independent"] + 1 / new["independent"]
    if old["kind"] == "numeric":
        spread = np.std(old["values"] + new["values"]) / max(float(np.std(old["values"])), 0.001)
        noise = WASSERSTEIN_NOISE * math.sqrt(chance) * max(1.0, float(spread))
    else:
        freedom = len({*old["counts"], *new["counts"]}) - 1
        noise = math.sqrt(chi2.ppf(JENSEN_SHANNON_NOISE, freedom) * chance / 8) if freedom else 0.0
    return round(max(MIN_DRIFT, noise), 4)


def measure(limits: Mapping[str, float], reference: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, float]:
    """Evidently's distance for each column that has a limit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        kinds = {name: name in NUMERIC for name in limits}
        definition = DataDefinition(
            numerical_columns=[name for name, is_numeric in kinds.items() if is_numeric],
            categorical_columns=[name for name, is_numeric in kinds.items() if not is_numeric],
        )
        # Columns of a frame and of an object have different lengths: each is padded, and Evidently drops the padding.
        tables = [
            pandas.DataFrame({name: pandas.Series(rows(profile["columns"][name])) for name in limits})
            for profile in (current, reference)
        ]
        metrics = [
            ValueDrift(column=name, method=method_of(name), threshold=limit, tests=[]) for name, limit in limits.items()
        ]
        snapshot = Report(metrics).run(*(Dataset.from_pandas(table, data_definition=definition) for table in tables))
    found = {item["config"]["column"]: float(item["value"]) for item in snapshot.dict()["metrics"]}
    return {name: round(found[name], 4) for name in limits}


def rows(column: Mapping[str, Any]) -> list[Any]:
    """A column as the rows that Evidently reads: at most about 10,000."""
    if column["kind"] == "numeric":
        return column["values"]
    scale = min(1.0, 10_000 / column["count"])
    return [value for value, count in column["counts"].items() for _ in range(max(1, round(count * scale)))]


def sentences(columns: list[dict[str, Any]], reference: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """What people should know: each drift with both sides, and what could not be compared."""
    frames = current["frames"], reference["frames"]
    if min(frames) < MIN_FRAMES:
        return [f"{frames[0]} frames against {frames[1]} in the reference: too few to tell (both need {MIN_FRAMES})."]
    said = []
    for item in columns:
        name, old, new = label(item["column"]), *(it["columns"].get(item["column"]) for it in (reference, current))
        if item["note"] is not None:
            said.append(f"{name}: {item['note']}")
        elif item["drifted"]:
            change = moved(item["column"], old, new)
            said.append(f"{name}: {change}, drift {item['value']:.2f} (allowed {item['threshold']:.2f})")
        if item["note"] is None and old["kind"] == "categorical":
            said += [f"{name}: {text} is new, {percent(share)} of these data" for text, share in unseen(new, old)]
            said += [f"{name}: {text} has gone, {percent(share)} of the reference" for text, share in unseen(old, new)]
    return said


def label(column: str) -> str:
    """A column's name in a sentence."""
    if column in NUMERIC:
        return SAID[column][0]
    return column if column == CLASS else f"attribute {column.removeprefix(ATTRIBUTE)[:MAX_CHARACTERS]}"


def moved(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """How a column has changed: its mean, or the share of the value that changed most."""
    if column in NUMERIC:
        write = SAID[column][1]
        return f"mean {write(old['mean'])} → {write(new['mean'])}"
    shares = {
        value: [item["counts"].get(value, 0) / item["count"] for item in (old, new)]
        for value in sorted({*old["counts"], *new["counts"]})
    }
    value, (before, after) = max(shares.items(), key=lambda item: abs(item[1][1] - item[1][0]))
    return f"{value} {percent(before)} → {percent(after)}"


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def unseen(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Values, with their shares, that one side has and the other has not, though by chance alone it would."""
    shares = {value: count / there["count"] for value, count in there["counts"].items() if value not in here["counts"]}
    return [(value, share) for value, share in shares.items() if share * here["independent"] >= EXPECTED]


def start_check(reference: Path, current: Path, out: Path) -> subprocess.Popen[str]:
    """Begin to compare two profiles in a process of its own, at a low priority; the caller goes on.

    The process gets no secret: its environment has only what finds Python and its packages, and what forbids Evidently
    to send usage statistics.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR") if name in os.environ}
    packages = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"PYTHONPATH": os.pathsep.join(packages), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    quiet |= {"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1"}
    python = [sys.executable, "-P", "-W", "ignore", "-m", "proving_ground.drift"]
    return subprocess.Popen(
        [*python, str(reference), str(current), str(out)],
        env=kept | quiet,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def result(check: subprocess.Popen[str], timeout_seconds: float) -> dict[str, Any]:
    """What start_check found, waiting for it at most so long.

    Raises:
        Refused: a profile can't be read.
        LostWorker: the process took longer, and was ended, or failed; its last line is in the message.
    """
    try:
        said, _ = check.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        check.kill()
        check.communicate()
        raise LostWorker(f"The drift check took longer than {timeout_seconds:g} s.") from error
    last = said.strip().rpartition("\n")[2]
    if check.returncode == Refused.exit_code:
        raise Refused(last)
    if check.returncode != 0:
        raise LostWorker(f"The drift check ended with code {check.returncode}: {last}")
    return read_json(Path(check.args[-1]))


def check_drift(reference: Path, current: Path, out: Path) -> None:
    """Compare two profiles' files and write what compare() returns; equal profiles make equal bytes.

    Raises:
        Refused: a file can't be read, or is no profile of this version.
    """
    profiles = [check_profile(read_json(file), str(file)) for file in (reference, current)]
    write_json(out, compare(*profiles))


def main() -> int:
    """Compare as the command line says; 65 and one line where a profile can't be taken."""
    parser = argparse.ArgumentParser(prog="proving_ground.drift", description=__doc__)
    for name in ("reference", "current", "out"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    # Training has the processors first.
    os.nice(10)
    try:
        check_drift(arguments.reference, arguments.current, arguments.out)
    except Refused as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

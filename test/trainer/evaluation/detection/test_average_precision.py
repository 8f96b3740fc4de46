"""The detection scores ..."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco import boxes_of, hard_case, our_figures, replicate, run_pycocotools
from conftest import rest_for_soak
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from proving_ground.evaluation import Evaluator, FrameSlice, Prediction, Target, compare, score
from proving_ground.evaluation.detection.average_precision import (
    RECALL_THRESHOLDS,
    Ordered,
    accumulate,
    lay_out,
    order,
    resampled_detection,
    restrict,
    scores_at_recall,
)
from proving_ground.evaluation.detection.matching import match
from proving_ground.evaluation.detection.resampling import LANES
from proving_ground.evaluation.detection.tracing import places_reached

REFERENCE = Path(__file__).parents[4] / "../shared/data/map-reference"
BDD = Path(__file__).parents[4] / "../shared/data/bdd100k-300/bdd300.json"
CASES, CASES_OF_EACH_RUN = 200, 50
# Sets whose arrays are held to pycocotools', each overall and on so many slices; a test takes several sets.
SETS, SETS_OF_A_TEST, SLICES = 500, 50, 8
# The official COCO API on the reference: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl.
OFFICIAL = [
    *(0.5045806987249628, 0.6969727247299577, 0.5729816669904824),
    *(0.5856257209410443, 0.5193996948036719, 0.5013978986347466),
    *(0.38681277964578054, 0.5936795762842003, 0.595352982877607),
    *(0.6398109626113442, 0.5664205978994309, 0.5642905982905982),
]


@pytest.fixture(scope="module")
def reference() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """COCO's own example: 100 images of val2014 and its fake detections."""
    if not REFERENCE.exists():
        pytest.skip(f"the COCO reference is not there: {REFERENCE}")
    document = json.loads((REFERENCE / "instances_val2014_100.json").read_text())
    return document, json.loads((REFERENCE / "instances_val2014_fakebbox100_results.json").read_text())


def test_equal_the_official_figures_of_coco_to_the_last_bit(reference: tuple[dict, list]) -> None:
    document, results = reference
    assert our_figures(document, results, [None]) == [OFFICIAL]
    assert run_pycocotools(document, results).stats.tolist() == OFFICIAL


def test_equal_pycocotools_on_slices_of_coco_to_the_last_bit(reference: tuple[dict, list]) -> None:
    document, results = reference
    images = sorted(image["id"] for image in document["images"])
    subsets = [np.random.default_rng(seed).random(len(images)) < share for seed, share in enumerate((0.02, 0.2, 0.6))]
    for chosen, figures in zip(subsets, our_figures(document, results, subsets), strict=True):
        names = [image for image, inside in zip(images, chosen, strict=True) if inside]
        assert figures == run_pycocotools(document, results, names).stats.tolist()


@pytest.mark.parametrize("seed", rest_for_soak(range(CASES), range(CASES_OF_EACH_RUN)))
def test_equal_pycocotools_on_a_hard_case_and_a_slice_of_it(seed: int) -> None:
    document, results = hard_case(seed)
    images = sorted(image["id"] for image in document["images"])
    chosen = np.random.default_rng(seed).random(len(images)) < 0.5
    overall, part = our_figures(document, results, [None, chosen])
    assert overall == run_pycocotools(document, results).stats.tolist(), f"seed {seed}"
    names = [image for image, inside in zip(images, chosen, strict=True) if inside]
    assert part == run_pycocotools(document, results, names).stats.tolist(), f"the slice of seed {seed}"


@pytest.mark.parametrize(("cases", "times"), [(CASES, 10), (CASES_OF_EACH_RUN, 2)])
def test_meet_every_difficulty_in_the_hard_cases(cases: int, times: int) -> None:
    met = dict.fromkeys(["tied scores", "crowds", "over 100", "no objects", "no detections", "empty category"], 0)
    met |= {"no area": 0, "tied in a frame": 0}
    for seed in range(cases):
        document, results = hard_case(seed)
        images, scores = [image["id"] for image in document["images"]], [row["score"] for row in results]
        groups = [(row["image_id"], row["category_id"]) for row in results]
        labelled = {row["category_id"] for row in document["annotations"]}
        met["tied scores"] += len(set(scores)) < len(scores)
        met["tied in a frame"] += len(set(zip(groups, scores, strict=True))) < len(scores)
        met["crowds"] += any(row["iscrowd"] for row in document["annotations"])
        met["over 100"] += any(groups.count(group) > 100 for group in set(groups))
        met["no objects"] += bool(set(images) - {row["image_id"] for row in document["annotations"]})
        met["no detections"] += bool(set(images) - {row["image_id"] for row in results})
        met["empty category"] += any(category["id"] not in labelled for category in document["categories"])
        met["no area"] += any(row["bbox"][2] == 0 for row in results)
    assert all(count >= times for count in met.values()), met


@pytest.mark.parametrize("seed", rest_for_soak(range(0, CASES, 5), range(0, CASES, 20)))
def test_of_weighted_frames_equal_pycocotools_on_copies_of_the_frames(seed: int) -> None:
    document, results = hard_case(seed)
    frames = len(document["images"])
    weights = np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames))
    scores = np.array([row["score"] for row in results], dtype=np.float64)
    crowd = np.array([bool(row["iscrowd"]) for row in document["annotations"]], dtype=bool)
    matches = match(boxes_of(document, results), scores, boxes_of(document, document["annotations"]), crowd)
    precision, recall = accumulate(order(matches, len(document["categories"]), frames), weights)
    expected = run_pycocotools(*replicate(document, results, weights)).eval
    np.testing.assert_array_equal(precision, expected["precision"][:, :, :, 0, 2], f"seed {seed}")
    np.testing.assert_array_equal(recall, expected["recall"][:, :, 0, 2], f"seed {seed}")


def ordered_of(document: dict[str, Any], results: list[dict[str, Any]]) -> Ordered:
    """A COCO document's matches in order."""
    scores = np.array([row["score"] for row in results], dtype=np.float64)
    crowd = np.array([bool(row["iscrowd"]) for row in document["annotations"]], dtype=bool)
    matches = match(boxes_of(document, results), scores, boxes_of(document, document["annotations"]), crowd)
    return order(matches, len(document["categories"]), len(document["images"]))


def index(document: dict[str, Any], rows: list[dict[str, Any]]) -> COCO:
    """pycocotools' index of annotations, or of results."""
    made = COCO()
    whole = [{"area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0, "id": place, **row} for place, row in rows]
    made.dataset = {**document, "annotations": whole}
    made.createIndex()
    return made


def arrays_of(truth: COCO, found: COCO, images: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pycocotools' precision [T, R, K], recall [T, K] and scores [T, R, K] of some images, of all areas."""
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.params.imgIds, evaluation.params.maxDets = images, [100]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    made = evaluation.eval
    return made["precision"][:, :, :, 0, 0], made["recall"][:, :, 0, 0], made["scores"][:, :, :, 0, 0]


def assert_arrays_of_pycocotools(
    document: dict[str, Any], results: list[dict[str, Any]], chosen: dict[str, np.ndarray]
) -> None:
    """On each subset of frames ([F] bool) the arrays are pycocotools', by weights and by leaving frames out."""
    ordered = ordered_of(document, results)
    images = np.array(sorted(image["id"] for image in document["images"]))
    with contextlib.redirect_stdout(io.StringIO()):
        pair = [index(document, list(enumerate(rows, 1))) for rows in (document["annotations"], results)]
        expected = {name: arrays_of(*pair, images[frames].tolist()) for name, frames in chosen.items()}
    for name, frames in chosen.items():
        part = restrict(ordered, frames)
        chosen_by_weight = (*accumulate(ordered, frames), scores_at_recall(ordered, frames))
        for made in (chosen_by_weight, (*accumulate(part), scores_at_recall(part))):
            for own, theirs in zip(made, expected[name], strict=True):
                np.testing.assert_array_equal(own, theirs, f"{name}, frames {np.flatnonzero(frames)}")


@pytest.mark.parametrize("first", rest_for_soak(range(0, SETS, SETS_OF_A_TEST), [0]))
def test_have_the_arrays_of_pycocotools_overall_and_on_slices(first: int) -> None:
    for seed in range(1000 + first, 1000 + first + SETS_OF_A_TEST):
        document, results = hard_case(seed)
        rng, frames = np.random.default_rng([3, seed]), len(document["images"])
        chosen = {f"seed {seed}": np.ones(frames, dtype=bool)}
        chosen |= {f"seed {seed}, slice {at}": rng.random(frames) < rng.random() for at in range(SLICES)}
        assert_arrays_of_pycocotools(document, results, chosen)


@pytest.mark.parametrize("seed", range(3))
def test_have_the_arrays_of_pycocotools_on_the_attributes_of_real_driving_frames(seed: int) -> None:
    """Real labels in real numbers, crowded and empty frames; what is found of them is drawn."""
    if not BDD.exists():
        pytest.skip(f"the driving frames are not there: {BDD}")
    listed = json.loads(BDD.read_text())
    document, attributes = coco_of(listed)
    results = find_some(document, np.random.default_rng(seed))
    values = {(name, value) for frame in attributes for name, value in frame.items()}
    chosen = {
        f"seed {seed}, {name} {value}": np.array([frame.get(name) == value for frame in attributes])
        for name, value in sorted(values)
    }
    assert len(chosen) > 10
    assert {name for name, _ in values} == {"weather", "timeofday", "scene"}
    assert_arrays_of_pycocotools(document, results, {"all": np.ones(len(listed), dtype=bool), **chosen})


def coco_of(listed: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """BDD100K's list as a COCO document, and the attributes of its frames."""
    names = sorted({label["category"] for frame in listed for label in frame["labels"]})
    annotations = []
    for image, frame in enumerate(listed):
        for label in frame["labels"]:
            box = label["box2d"]
            size = [box["x2"] - box["x1"], box["y2"] - box["y1"]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": names.index(label["category"]) + 1,
                    "bbox": [box["x1"], box["y1"], *size],
                    "area": size[0] * size[1],
                    "iscrowd": 0,
                }
            )
    document = {
        "images": [{"id": image} for image in range(len(listed))],
        "categories": [{"id": place, "name": name} for place, name in enumerate(names, 1)],
        "annotations": annotations,
    }
    return document, [frame["attributes"] or {} for frame in listed]


def find_some(document: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Detections of most objects, more or less off, some twice, some as another category; scores are often equal."""
    results, categories = [], len(document["categories"])
    for row in document["annotations"]:
        for _ in range(rng.choice(3, p=[0.25, 0.65, 0.1])):
            x, y, w, h = row["bbox"]
            off, grown = rng.normal(0, 0.12, 2) * (w, h), np.exp(rng.normal(0, 0.15, 2)) * (w, h)
            category = row["category_id"] if rng.random() < 0.9 else int(rng.integers(1, categories + 1))
            box = [x + float(off[0]), y + float(off[1]), *grown.tolist()]
            score = round(float(rng.beta(4, 2)), 2)
            results.append({"image_id": row["image_id"], "category_id": category, "bbox": box, "score": score})
    return results


@pytest.mark.parametrize("seed", rest_for_soak(range(0, CASES, 4), range(0, CASES, 20)))
def test_of_resamples_equal_those_of_weighted_frames_but_for_the_last_bits(seed: int) -> None:
    document, results = hard_case(seed)
    frames, ordered = len(document["images"]), ordered_of(document, results)
    # More resamples than are traced side by side, and no whole number of times as many.
    weights = np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=LANES + 5)
    weights[0] = 0
    names = [str(place) for place in range(len(document["categories"]))]
    made = resampled_detection(ordered, names, weights)
    for sample, counts in enumerate(weights):
        precision, recall = accumulate(ordered, counts)
        measured = recall[0] > -1
        means = np.where(measured, precision.mean(axis=(0, 1)), np.nan)
        figures = {"map": means, "ap50": precision[0].mean(axis=0), "ar": recall.mean(axis=0)}
        for metric, values in figures.items():
            expected = values[measured].mean() if measured.any() else np.nan
            close(made[metric][sample], expected, f"seed {seed}, {metric} of resample {sample}")
        for place, name in enumerate(names):
            close(made[f"ap/{name}"][sample], means[place], f"seed {seed}, ap/{name} of resample {sample}")


def close(one: float, other: float, where: str) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15, err_msg=where)


def test_of_resamples_reach_recalls_of_whole_hundredths_as_one_sample_does() -> None:
    for objects in [*range(1, 130), 200, 300, 700, 1000, 5700]:
        hits = np.arange(objects + 1)
        expected = np.searchsorted(RECALL_THRESHOLDS, hits / objects, side="right") * (hits > 0)
        made = [places_reached(float(count), float(objects)) for count in hits]
        assert made == expected.tolist(), objects


@pytest.mark.parametrize("seed", range(0, CASES, 20))
def test_are_the_same_bits_with_any_number_of_threads(seed: int) -> None:
    document, results = hard_case(seed)
    frames = len(document["images"])
    models = [add_frames(document, found).statistics() for found in (results, results[::2])]
    slices = [
        FrameSlice(name=f"s{place}", where={}, category=None, protected=False, frames=chosen)
        for place, chosen in enumerate(np.random.default_rng(seed).random((SLICES, frames)) < 0.6)
    ]
    alone = score(models[0], slices, frames, threads=1), compare(*models, slices, resamples=31, seed=1, threads=1)
    for threads in (2, 3, None):
        assert score(models[0], slices, frames, threads=threads) == alone[0], f"seed {seed}, {threads} threads"
        assert compare(*models, slices, resamples=31, seed=1, threads=threads) == alone[1], f"seed {seed}"


# Rows are looked at as the bits of words of 64: categories end before, at and after the end of a word.
@pytest.mark.parametrize("seed", range(20))
def test_of_chosen_frames_equal_those_counted_row_by_row(seed: int) -> None:
    rng, frames = np.random.default_rng(seed), 40
    sizes = rng.permutation([0, 1, 2, 63, 64, 65, 127, 128, 129, 192, 700])
    begins = np.concatenate([[0], np.cumsum(sizes)])
    frame = rng.integers(0, frames, begins[-1])
    # Few hits, few misses, or long stretches of ignored rows, by category.
    shares = [rng.choice([0.02, 0.5, 0.98], len(sizes)).repeat(sizes)[:, None] for _ in range(2)]
    matched, ignored = (
        ((rng.random((begins[-1], 10)) < share) @ (1 << np.arange(10))).astype(np.uint16) for share in shares
    )
    truth = np.zeros((len(sizes), frames), np.int64)
    np.add.at(truth, (np.arange(len(sizes)).repeat(sizes), frame), 1)
    ordered = lay_out(begins, -np.arange(begins[-1]), frame, matched, ignored, np.zeros(begins[-1], bool), truth)
    for share in (0.0, 0.05, 0.5, 0.95, 1.0):
        chosen = rng.random(frames) < share
        for own, other in zip(accumulate(ordered, chosen), accumulate(ordered, chosen.astype(np.int64)), strict=True):
            np.testing.assert_array_equal(own, other, f"seed {seed}, {share} of the frames")


def test_of_no_box_at_all_are_none() -> None:
    document = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": []}
    precision, recall = accumulate(ordered_of(document, []))
    assert (precision == -1).all()
    assert (recall == -1).all()


def add_frames(document: dict[str, Any], results: list[dict[str, Any]]) -> Evaluator:
    """The evaluator of a COCO document, whose boxes are handed over as x1 y1 x2 y2."""
    names = [category["name"] for category in document["categories"]]
    evaluator = Evaluator(heads=["detection"], detection_categories=names, segmentation_classes=[])
    truth, found = boxes_of(document, document["annotations"]), boxes_of(document, results)
    scores = np.array([row["score"] for row in results])
    crowd = np.array([bool(row["iscrowd"]) for row in document["annotations"]])
    for frame in range(len(document["images"])):
        sides = [
            np.hstack([boxes.xywh[:, :2], boxes.xywh[:, :2] + boxes.xywh[:, 2:]])[boxes.frame == frame]
            for boxes in (found, truth)
        ]
        own, real = found.frame == frame, truth.frame == frame
        prediction = Prediction(
            boxes=sides[0], scores=scores[own], categories=found.category[own], segmentation=None, lanes=None
        )
        target = Target(
            boxes=sides[1],
            categories=truth.category[real],
            crowd=crowd[real],
            segmentation=None,
            lanes=None,
            width=100,
            height=100,
        )
        evaluator.add(frame, prediction, target)
    return evaluator


@pytest.mark.parametrize("seed", range(0, CASES, 10))
def test_of_the_whole_path_equal_pycocotools_overall_on_slices_and_by_category(seed: int) -> None:
    document, results = hard_case(seed)
    # Whole numbers, so that x2 - x1 is the very width that pycocotools is given; the area is w * h.
    for row in [*document["annotations"], *results]:
        row["bbox"] = [float(round(side)) for side in row["bbox"]]
        row["area"] = row["bbox"][2] * row["bbox"][3]
    images = sorted(image["id"] for image in document["images"])
    category = document["categories"][0]
    chosen = np.random.default_rng(seed).random(len(images)) < 0.6
    parts = [
        FrameSlice(name="part", where={}, category=None, protected=False, frames=chosen),
        FrameSlice(name="one", where={}, category=category["name"], protected=False, frames=chosen),
    ]
    scores = score(add_frames(document, results).statistics(), parts, len(images))
    names = [image for image, inside in zip(images, chosen, strict=True) if inside]
    for part, subset in ((None, images), ("part", names)):
        stats = run_pycocotools(document, results, subset).stats
        found = [scores[metric, part] for metric in ("map", "ap50", "ar")]
        assert found == [None if value == -1 else value for value in stats[[0, 1, 8]]], f"seed {seed}"
    value = run_pycocotools(document, results, names, [category["id"]]).stats[0]
    assert scores[f"ap/{category['name']}", "one"] == (None if value == -1 else value), f"seed {seed}"
    assert [metric for metric, part in scores if part == "one"] == [
        f"{name}/{category['name']}" for name in ("ap", "ece")
    ]

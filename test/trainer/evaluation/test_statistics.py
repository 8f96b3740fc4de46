"""The statistics of frames ..."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import SOAK
from hypothesis import given, settings, strategies
from samples import make_evaluator, measure_sample, sample_frame

from proving_ground.evaluation import Evaluator, Prediction, Statistics, Target, compare
from proving_ground.evaluation.statistics import FORMAT, VERSION, checksum

FRAMES = 11


def saved(statistics: Statistics, folder: Path) -> bytes:
    """The bytes of the statistics' file."""
    statistics.save(folder / "statistics.npz")
    return (folder / "statistics.npz").read_bytes()


def write_npz(path: Path, **content: np.ndarray) -> Path:
    """Write arrays as any program would."""
    np.savez_compressed(path, **content)
    return path


def equal(one: Statistics, other: Statistics) -> bool:
    """Whether two statistics are the same to the last bit and type."""
    return (one.heads, one.categories, one.classes) == (other.heads, other.categories, other.classes) and checksum(
        one.columns
    ) == checksum(other.columns)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(ranks=strategies.lists(strategies.integers(0, 3), min_size=FRAMES, max_size=FRAMES), order=strategies.randoms())
def test_are_the_same_bits_whatever_the_split_and_the_order(ranks: list[int], order) -> None:
    evaluators = [make_evaluator() for _ in range(4)]
    for frame in order.sample(range(FRAMES), FRAMES):
        evaluators[ranks[frame]].add(frame, *sample_frame(1, frame, labelled=frame != 3))
    parts = [evaluator.statistics() for evaluator in evaluators]
    order.shuffle(parts)
    merged = Statistics.merge(parts)
    whole = make_evaluator()
    for frame in range(FRAMES):
        whole.add(frame, *sample_frame(1, frame, labelled=frame != 3))
    assert equal(merged, whole.statistics())
    rows = [compare(each, None, [], resamples=100, seed=1) for each in (merged, whole.statistics())]
    assert rows[0] == rows[1]


def test_count_a_frame_once() -> None:
    part = measure_sample(1, frames=4)
    with pytest.raises(ValueError, match="frame 0 was counted twice"):
        Statistics.merge([part, part])
    evaluator = make_evaluator()
    for _ in range(2):
        evaluator.add(5, *sample_frame(1, 5, labelled=True))
    with pytest.raises(ValueError, match="frame 5 was counted twice"):
        evaluator.statistics()


def test_are_not_merged_with_those_of_another_task_or_of_nothing() -> None:
    with pytest.raises(ValueError, match="different heads or categories"):
        Statistics.merge([measure_sample(1, frames=1), measure_sample(1, frames=1, heads=("lanes",))])
    with pytest.raises(ValueError, match="no statistics to merge"):
        Statistics.merge([])


def test_come_back_from_their_file_to_the_last_bit(tmp_path: Path) -> None:
    for statistics in (measure_sample(1, frames=6, labelled=4), measure_sample(1, frames=0, heads=("lanes",))):
        first = saved(statistics, tmp_path)
        loaded = Statistics.load(tmp_path / "statistics.npz")
        assert equal(loaded, statistics)
        assert saved(loaded, tmp_path) == first


def test_stay_as_they_were_when_writing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = saved(measure_sample(1, frames=2), tmp_path)

    def cut_off(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", cut_off)
    with pytest.raises(OSError, match="no space left"):
        measure_sample(2, frames=2).save(tmp_path / "statistics.npz")
    assert (tmp_path / "statistics.npz").read_bytes() == whole


def test_hold_no_pickle(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(measure_sample(1, frames=2), tmp_path))) as content:
        for name in content.namelist():
            with content.open(name) as file:
                assert not np.lib.format.read_array(file, allow_pickle=False).dtype.hasobject


def test_are_refused_wherever_the_file_is_cut(tmp_path: Path) -> None:
    whole = saved(measure_sample(1, frames=3), tmp_path)
    cut = tmp_path / "cut.npz"
    for length in [0, 1, 4, len(whole) - 1, *range(10, len(whole), 97)]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.npz: "):
            Statistics.load(cut)


def test_are_refused_or_unharmed_whichever_byte_is_wrong(tmp_path: Path) -> None:
    statistics = measure_sample(1, frames=3)
    whole = saved(statistics, tmp_path)
    damaged, refused = tmp_path / "damaged.npz", 0
    places = range(0, len(whole), 7 if SOAK else 41)
    for place in places:
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ (1 + place % 255)]) + whole[place + 1 :])
        try:
            # A byte of zip that nobody reads, such as a date, does no harm.
            assert equal(Statistics.load(damaged), statistics), f"byte {place}"
        except ValueError as error:
            assert str(damaged) in str(error), f"byte {place}"
            refused += 1
    assert refused > 0.5 * len(places)


def content_of(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def test_are_refused_when_a_figure_was_changed_and_the_file_written_anew(tmp_path: Path) -> None:
    saved(measure_sample(1, frames=3), tmp_path)
    for name in ("truth/x", "categories"):
        content = content_of(tmp_path / "statistics.npz")
        content[name] = content[name][::-1].copy()
        changed = write_npz(tmp_path / "changed.npz", **content)
        with pytest.raises(ValueError, match="their checksum differs"):
            Statistics.load(changed)
    content = content_of(tmp_path / "statistics.npz")
    del content["truth/x"]
    with pytest.raises(ValueError, match="their checksum differs"):
        Statistics.load(write_npz(tmp_path / "without.npz", **content))


def test_are_refused_when_they_are_of_another_version_or_no_statistics(tmp_path: Path) -> None:
    saved(measure_sample(1, frames=3), tmp_path)
    for version in (VERSION - 1, VERSION + 1):
        content = content_of(tmp_path / "statistics.npz") | {"version": np.array(version)}
        with pytest.raises(ValueError, match=f"statistics of version {version}; this code reads version {VERSION}"):
            Statistics.load(write_npz(tmp_path / "other.npz", **content))
    with pytest.raises(ValueError, match="not a file of frame statistics"):
        Statistics.load(write_npz(tmp_path / "foreign.npz", weights=np.zeros(3)))
    with pytest.raises(ValueError, match="statistics of version None"):
        Statistics.load(write_npz(tmp_path / "bare.npz", format=np.array(FORMAT)))
    with pytest.raises(ValueError, match="can't be read"):
        Statistics.load(tmp_path / "absent.npz")


class Trap:
    """What a pickle would run."""

    def __reduce__(self) -> tuple:
        return pytest.fail, ("the pickle was run",)


def test_run_no_pickle_that_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"pickle\.npz: the file is damaged, or isn't a file of statistics"):
        Statistics.load(tmp_path / "pickle.npz")
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    member.write(pickle.dumps([Trap()]))
    with zipfile.ZipFile(tmp_path / "object.npz", "w") as file:
        file.writestr("format.npy", member.getvalue())
    with pytest.raises(ValueError, match=r"object\.npz: "):
        Statistics.load(tmp_path / "object.npz")


BOX = np.array([[1.0, 2.0, 5.0, 6.0]])


def add_boxes(**changes: np.ndarray) -> Evaluator:
    """Add a frame with one predicted and one labelled box, in which something is changed."""
    evaluator = make_evaluator(("detection",))
    values = {"boxes": BOX, "scores": np.ones(1), "categories": np.zeros(1, dtype=np.int64), "target": BOX} | changes
    values = {"crowd": np.zeros(1, dtype=bool)} | values
    evaluator.add(
        4,
        Prediction(
            boxes=values["boxes"],
            scores=values["scores"],
            categories=values["categories"],
            segmentation=None,
            lanes=None,
        ),
        Target(
            boxes=values["target"],
            categories=np.zeros(1, dtype=np.int64),
            crowd=values["crowd"],
            segmentation=None,
            lanes=None,
            width=9,
            height=9,
        ),
    )
    return evaluator


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.array([np.nan])}, "score of the predicted boxes has a value that isn't finite"),
        ({"scores": np.ones(2)}, "score has 2 values for 1 predicted boxes"),
        ({"boxes": np.array([[1.0, 2.0, np.inf, 6.0]])}, "the predicted boxes are not all four finite numbers"),
        ({"boxes": np.array([[1.0, 2.0, 3.0]])}, "the predicted boxes are not all four finite numbers"),
        ({"boxes": np.array([[5.0, 2.0, 1.0, 6.0]])}, "a predicted box ends before it begins"),
        ({"categories": np.array([3])}, r"a predicted box has no category from 0 to 2: \[3\]"),
        ({"categories": np.array([-1])}, r"a predicted box has no category from 0 to 2: \[-1\]"),
        ({"target": np.array([[1.0, 2.0, 5.0, np.nan]])}, "the labelled boxes are not all four finite numbers"),
        ({"crowd": np.zeros(2, dtype=bool)}, "crowd has 2 values for 1 labelled boxes"),
    ],
)
def test_take_no_boxes_that_would_give_wrong_figures(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^frame 4: {message}"):
        add_boxes(**changes)


def test_are_untouched_by_a_frame_that_was_refused() -> None:
    evaluator = make_evaluator()
    prediction, target = sample_frame(1, 0, labelled=True)
    spoilt = Prediction(**{**vars(prediction), "lanes": None})
    with pytest.raises(ValueError, match="frame 0: the lanes are labelled"):
        evaluator.add(0, spoilt, target)
    evaluator.add(0, prediction, target)
    assert equal(evaluator.statistics(), measure_sample(1, frames=1))

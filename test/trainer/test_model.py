"""The network ..."""

import numpy as np
import pytest
import torch

from proving_ground.config import Architecture
from proving_ground.data.targets import LANE_SLOTS, STRIDE, detection_maps, lane_rows, lane_targets
from proving_ground.model.losses import head_losses, side_iou
from proving_ground.model.network import build_network
from proving_ground.model.predictions import predict

SETTINGS = {
    "detection": {"weight": 1.0, "gamma": 2.0, "box_weight": 0.5},
    "segmentation": {"weight": 1.0},
    "lanes": {"weight": 0.5},
}


def architecture(width: int = 96, height: int = 64) -> Architecture:
    """A network of a few thousand parameters."""
    heads = ("detection", "segmentation", "lanes")
    return Architecture(width=width, height=height, widths=(4, 8, 8, 8), depth=1, neck=8, heads=heads)


def labels(height: int = 64, width: int = 96) -> dict[str, torch.Tensor]:
    """Targets of one frame with two boxes and a lane."""
    boxes = np.array([[10.0, 12.0, 30.0, 40.0], [50.0, 20.0, 58.0, 36.0]], dtype=np.float32)
    maps = detection_maps(boxes, [0, 2], [False, False], 3, (height, width))
    lane = lane_targets([np.array([[20.0, float(height)], [40.0, 30.0]])], (height, width))
    arrays = maps | {"lane": lane, "mask": np.full((height, width), 255, dtype=np.int64)}
    flags = {"has_detection": torch.tensor([True]), "has_lanes": torch.tensor([True])}
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()} | flags


def outputs_of(network: torch.nn.Module, width: int = 96, height: int = 64) -> dict[str, torch.Tensor]:
    """Outputs for a frame of noise."""
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 3, height, width), dtype=np.uint8))
    return network(image)


def test_begins_with_weights_that_are_a_function_of_the_seed() -> None:
    torch.manual_seed(99)
    first = build_network(architecture(), 3, 7, seed=1).state_dict()
    torch.manual_seed(5)
    again = build_network(architecture(), 3, 7, seed=1).state_dict()
    other = build_network(architecture(), 3, 7, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (320, 176), (192, 112), (64, 32)])
def test_finds_the_very_boxes_and_lanes_that_its_targets_describe(width: int, height: int) -> None:
    boxes = np.array([[4.0, 8.0, 20.0, 24.0], [41.0, 6.5, 47.5, 25.0]], dtype=np.float32)
    line = np.array([[width * 0.45, float(height)], [width * 0.5, height * 0.45]])
    other = np.array([[width * 0.9, float(height)], [width * 0.6, height * 0.45]])
    maps = detection_maps(boxes, [1, 2], [False, False], 3, (height, width))
    columns = lane_targets([line, other], (height, width))
    assert columns.shape == (LANE_SLOTS, lane_rows(height))
    heat = torch.from_numpy(maps["heat"]).clamp(1e-4, 1 - 1e-4).logit()
    detection = torch.cat([heat, torch.from_numpy(maps["box"]).clamp(min=0.1).log()])[None]
    lanes = torch.full((1, LANE_SLOTS, lane_rows(height), width // STRIDE + 1), -30.0)
    for slot, row in np.argwhere(~np.isnan(columns)):
        place = columns[slot, row] - 0.5
        low = min(max(int(np.floor(place)), 0), width // STRIDE - 2)
        share = min(max(place - low, 1e-6), 1 - 1e-6)
        lanes[0, slot, row, low], lanes[0, slot, row, low + 1] = float(np.log(1 - share)), float(np.log(share))
    for slot, row in np.argwhere(np.isnan(columns)):
        lanes[0, slot, row, -1] = 30.0

    found = predict({"detection": detection, "lanes": lanes}, [(2 * width, 2 * height)], (width, height))[0]

    sure = found.scores > 0.9
    assert sorted(found.categories[sure].tolist()) == [1, 2]
    by_category = found.boxes[sure][np.argsort(found.categories[sure])]
    np.testing.assert_allclose(by_category, 2 * boxes, atol=0.05)
    assert len(found.lanes) == 2
    for predicted, drawn in zip(found.lanes, (line, other), strict=True):
        expected = np.interp(predicted[:, 1] / 2, drawn[::-1, 1], drawn[::-1, 0])
        np.testing.assert_allclose(predicted[:, 0] / 2, expected, atol=0.1)


@pytest.mark.parametrize(("width", "neck"), [(4, 8), (8, 12), (16, 32)])
def test_computes_in_bfloat16_what_it_computes_in_float32(width: int, neck: int) -> None:
    widths = (width, 2 * width, 2 * width, 2 * width)
    heads = ("detection", "segmentation", "lanes")
    sized = Architecture(width=192, height=112, widths=widths, depth=1, neck=neck, heads=heads)
    network = build_network(sized, 3, 7, seed=1).to(memory_format=torch.channels_last)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (8, 3, 112, 192), dtype=np.uint8))
    image = image.contiguous(memory_format=torch.channels_last)
    exact = network(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(image)
    for name, expected in exact.items():
        error = (rounded[name].float() - expected).norm() / expected.norm()
        assert error < 0.05, f"{name}: relative error {error:.3f}"


def test_gives_no_loss_for_heads_without_labels_in_the_batch() -> None:
    outputs = outputs_of(build_network(architecture(), 3, 7, seed=1))
    targets = labels() | {"has_detection": torch.tensor([False]), "has_lanes": torch.tensor([False])}
    losses = head_losses(outputs, targets, SETTINGS)
    assert {name: float(loss.detach()) for name, loss in losses.items()} == dict.fromkeys(losses, 0.0)
    sum(losses.values()).backward()


def test_learns_one_frame_by_heart() -> None:
    network = build_network(architecture(), 3, 7, seed=1)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 3, 64, 96), dtype=np.uint8))
    targets = labels() | {"mask": (torch.arange(96) // 16)[None, None].expand(1, 64, 96).contiguous()}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    history = []
    for _ in range(60):
        losses = head_losses(network(image), targets, SETTINGS)
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    for name in SETTINGS:
        assert history[-1][name] < 0.35 * history[0][name], name


def test_asks_nothing_of_the_places_that_a_crowd_hides() -> None:
    boxes = np.array([[0.0, 0.0, 96.0, 64.0]], dtype=np.float32)
    maps = detection_maps(boxes, [0], [True], 3, (64, 96))
    assert maps["counted"].sum() == 0
    assert maps["heat"].sum() == 0


def test_looks_harder_at_what_is_hard_with_a_higher_gamma() -> None:
    outputs = outputs_of(build_network(architecture(), 3, 7, seed=1))
    easy = {"detection": {"weight": 1.0, "gamma": 4.0, "box_weight": 0.0}}
    plain = {"detection": {"weight": 1.0, "gamma": 0.0, "box_weight": 0.0}}
    only = {"detection": outputs["detection"]}
    assert head_losses(only, labels(), easy)["detection"] < head_losses(only, labels(), plain)["detection"]


def test_measures_the_overlap_of_boxes_given_by_their_sides() -> None:
    found = torch.tensor([1.0, 1.0, 1.0, 1.0]).reshape(1, 4, 1, 1)
    wanted = torch.tensor([1.0, 1.0, 3.0, 1.0]).reshape(1, 4, 1, 1)
    assert side_iou(found, wanted).item() == pytest.approx(0.5)
    assert side_iou(wanted, wanted).item() == pytest.approx(1.0)


def test_puts_lanes_into_slots_by_where_they_meet_the_bottom() -> None:
    def straight(x: float) -> np.ndarray:
        return np.array([[x, 64.0], [48.0, 20.0]])

    target = lane_targets([straight(90), straight(5), straight(60), straight(30)], (64, 96))
    assert (target[:, -1] * STRIDE).round().tolist() == pytest.approx([7, 31, 59, 88], abs=1.5)
    alone = lane_targets([straight(60)], (64, 96))
    assert np.isnan(alone[[0, 1, 3]]).all() and not np.isnan(alone[2, -1])

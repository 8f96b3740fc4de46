"""Augmentation ..."""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from proving_ground.data.augment import PIXELS, PURPOSES, augment
from proving_ground.data.example import Example
from proving_ground.data.geometry import (
    GRAY,
    IGNORED,
    MIN_SHARE,
    Window,
    move_boxes,
    move_lanes,
)
from proving_ground.data.loader import NEW_ORDER, OLD_ORDER
from proving_ground.data.weather import veil
from proving_ground.importers import scenes
from proving_ground.randomness import generator

WIDTH, HEIGHT, COUNT = 96, 56, 6
ORDER = (
    "mosaic",
    "crop",
    "flip",
    "photometric",
    "fog",
    "rain",
    "night",
    "blur",
    "noise",
)
GEOMETRY = ("mosaic", "crop", "flip")
PAINT, GROUND, LABEL = 220, 30, 9

Policies = dict[str, dict[str, float]]
same_each_time = settings(derandomize=True, deadline=None, max_examples=150 if SOAK else 40)
places = st.tuples(st.integers(0, 2**31), st.integers(0, 1000), st.integers(0, 10**6))
strengths = st.floats(0, 1)
some_geometry = st.dictionaries(
    st.sampled_from(GEOMETRY),
    st.fixed_dictionaries({"probability": st.just(1.0), "strength": st.floats(0.05, 1)}),
    min_size=1,
)
some_policies = st.dictionaries(
    st.sampled_from(ORDER),
    st.fixed_dictionaries({"probability": st.sampled_from([0.0, 0.5, 1.0]), "strength": strengths}),
)
# Far enough out that what a random window cuts off is drawn too.
wide, high = st.floats(-20, WIDTH + 20, width=32), st.floats(-20, HEIGHT + 20, width=32)


def on(*names: str, strength: float = 0.7) -> Policies:
    """Policies that always change the frame."""
    return {name: {"probability": 1.0, "strength": strength} for name in names}


def frame(seed: int) -> Example:
    """A frame of the generator of scenes, by clear day, with labels of every kind."""
    rng = generator(seed, 0, 0, 77)
    scene = scenes.compose(rng, WIDTH, HEIGHT, {"timeofday": "day", "weather": "clear", "scene": "highway"})
    image, mask = scenes.paint(rng, scene)
    boxes = [box for box in (scenes.clip_box(scene.view, scene.view.box(mover)) for mover in scene.movers) if box]
    tracks = rng.uniform(-20, 20, (len(boxes), 10, 2)).astype(np.float32)
    return Example(
        image=image,
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        categories=np.arange(len(boxes)) % 3,
        crowd=np.arange(len(boxes)) % 4 == 3,
        mask=mask,
        lanes=[np.array(scenes.lane_points(scene.view, lane), dtype=np.float32) for lane in scene.lanes],
        past=tracks[:, :4],
        future=tracks[:, 4:],
    )


FRAMES = [frame(seed) for seed in range(COUNT)]


def changed(
    example: Example,
    policies: Policies,
    place: tuple[int, int, int] = (1, 2, 3),
    frames=FRAMES,
) -> Example:
    """The example after augmentation, mosaics taken from `frames`."""
    return augment(example, policies, place, frames.__getitem__, len(frames))


def arrays(example: Example) -> dict[str, np.ndarray]:
    """Every array of an example by name, lanes one by one."""
    lanes = {f"lane {number}": lane for number, lane in enumerate(example.lanes or [])}
    named = {field.name: getattr(example, field.name) for field in fields(example) if field.name != "lanes"}
    return {name: array for name, array in (named | lanes).items() if array is not None}


def bits(example: Example) -> dict[str, tuple]:
    """An example as values that are equal only where type, shape and every bit are."""
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays(example).items()}


def labels(example: Example) -> dict[str, tuple]:
    """The same for all but the image."""
    return {name: value for name, value in bits(example).items() if name != "image"}


def painted(draw: Callable[[ImageDraw.ImageDraw], None], **drawn: object) -> Example:
    """A frame whose labels are painted: bright in the image, LABEL in the mask."""
    canvas = Image.new("L", (WIDTH, HEIGHT))
    draw(ImageDraw.Draw(canvas))
    mask = np.array(canvas)
    image = np.repeat(np.where(mask == LABEL, PAINT, GROUND).astype(np.uint8)[..., None], 3, axis=2)
    return Example(image=image, mask=mask, **drawn)


def with_box(left: int, top: int, right: int, bottom: int) -> Example:
    """A frame with one painted box; a crowd, so that it is kept whatever is left of it."""
    return painted(
        lambda brush: brush.rectangle((left, top, right - 1, bottom - 1), fill=LABEL),
        boxes=np.array([[left, top, right, bottom]], dtype=np.float32),
        categories=np.array([2]),
        crowd=np.array([True]),
    )


def with_lane(points: list[tuple[float, float]], thickness: int = 7) -> Example:
    """A frame with one painted lane."""
    # The painter's integer coordinates are the middles of pixels.
    middles = [(x - 0.5, y - 0.5) for x, y in points]
    return painted(
        lambda brush: brush.line(middles, fill=LABEL, width=thickness),
        lanes=[np.array(points, dtype=np.float32)],
    )


def eroded(region: np.ndarray, size: int) -> np.ndarray:
    """Where a square of `size` pixels, begun at the pixel, lies in a region [H, W]; smaller by size - 1."""
    return np.lib.stride_tricks.sliding_window_view(region, (size, size)).all(axis=(2, 3))


boxes_drawn = st.tuples(st.integers(0, 80), st.integers(0, 44), st.integers(8, 60), st.integers(8, 40)).map(
    lambda box: (
        box[0],
        box[1],
        min(box[0] + box[2], WIDTH),
        min(box[1] + box[3], HEIGHT),
    )
)


@same_each_time
@given(some_geometry, places, st.lists(boxes_drawn, min_size=3, max_size=3))
def test_keeps_boxes_around_what_they_held_and_the_mask_on_its_pixels(policies, place, drawn) -> None:
    frames = [with_box(*box) for box in drawn]
    result = changed(frames[0], policies, place, frames)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    explained = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for x1, y1, x2, y2 in result.boxes:
        inside = (x > x1 + 1) & (x < x2 - 1) & (y > y1 + 1) & (y < y2 - 1)
        assert (result.mask[inside] == LABEL).all()
        explained |= (x > x1 - 1) & (x < x2 + 1) & (y > y1 - 1) & (y < y2 + 1)
    # What is left of a box that was dropped was narrower than a pixel, before a crop that may have doubled it.
    assert not eroded((result.mask == LABEL) & ~explained, 4 if len(policies) > 1 else 2).any()
    assert set(np.unique(result.mask)) <= {0, LABEL, IGNORED}
    # Scaling mixes neighbours; three pixels inside, image and mask agree, but for slivers at a mosaic's seams.
    shade = result.image[3:-3, 3:-3, 0]
    assert (shade[eroded(result.mask == LABEL, 7)] > 70).all()
    assert (shade[eroded(result.mask == 0, 7)] < 180).all()
    assert (result.image[result.mask == IGNORED] == GRAY).all()


lines_drawn = st.lists(st.tuples(wide, high), min_size=2, max_size=5)


@same_each_time
@given(
    # A mosaic that is cropped to half its size has less than a pixel left of what was painted.
    some_geometry.filter(lambda policies: not {"mosaic", "crop"} <= set(policies)),
    places,
    st.lists(lines_drawn, min_size=3, max_size=3),
)
def test_keeps_lanes_on_their_paint_and_inside_the_image(policies, place, drawn) -> None:
    frames = [with_lane(points) for points in drawn]
    result = changed(frames[0], policies, place, frames)
    size = np.array([WIDTH, HEIGHT])
    near = Image.fromarray((result.mask == LABEL).astype(np.uint8) * 255)
    for lane in result.lanes:
        assert len(lane) >= 2 and lane.dtype == np.float32
        if "crop" in policies or "mosaic" in policies:
            assert (lane >= 0).all() and (lane <= size).all()
        dense = [a + t * (b - a) for a, b in pairwise(lane) for t in np.linspace(0, 1, 9)]
        for x, y in np.array(dense)[((np.array(dense) >= 0) & (np.array(dense) <= size)).all(axis=1)]:
            beside = near.crop((int(x) - 1, int(y) - 1, int(x) + 2, int(y) + 2))
            assert beside.getextrema()[1] == 255, (x, y)


@same_each_time
@given(
    st.dictionaries(
        st.sampled_from(["crop", "flip"]),
        st.just({"probability": 1.0, "strength": 0.6}),
        min_size=1,
    ),
    places,
    st.tuples(wide, high, wide, high).filter(lambda line: np.hypot(line[2] - line[0], line[3] - line[1]) > 10),
)
def test_leaves_no_paint_of_a_straight_lane_without_its_lane(policies, place, line) -> None:
    example = with_lane([line[:2], line[2:]], thickness=3)
    result = changed(example, policies, place)
    margin = 6
    y, x = np.nonzero(
        eroded(result.mask != IGNORED, 2 * margin + 1) & (result.mask == LABEL)[margin:-margin, margin:-margin]
    )
    if len(x) == 0:
        return
    begin, end = result.lanes[0][[0, -1]].astype(np.float64)
    along = end - begin
    points = np.stack([x, y], axis=1) + margin + 0.5 - begin
    at = np.clip(points @ along / (along @ along), 0, 1)
    assert np.hypot(*(points - at[:, None] * along).T).max() < 1.6 * 2.5 + 1


@same_each_time
@given(some_policies, places)
def test_keeps_shapes_types_and_what_belongs_together(policies, place) -> None:
    before = bits(FRAMES[0])
    result = changed(FRAMES[0], policies, place)
    assert result.image.shape == FRAMES[0].image.shape and result.mask.shape == FRAMES[0].mask.shape
    assert len(result.boxes) == len(result.categories) == len(result.crowd)
    assert (result.boxes >= 0).all() and (result.boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    assert (result.boxes[:, 2:] - result.boxes[:, :2] > 0).all()
    for name, array in arrays(result).items():
        assert array.flags.c_contiguous, name
        assert array.dtype == (np.float32 if name.startswith("lane") else getattr(FRAMES[0], name).dtype), name
    assert bits(FRAMES[0]) == before


@same_each_time
@given(some_policies, places)
def test_changes_in_the_promised_order_and_each_policy_as_if_it_were_alone(policies, place) -> None:
    one_by_one = FRAMES[1]
    for name in ORDER:
        one_by_one = changed(one_by_one, {name: policies[name]} if name in policies else {}, place)
    assert bits(changed(FRAMES[1], policies, place)) == bits(one_by_one)
    backwards = dict(reversed(policies.items()))
    assert bits(changed(FRAMES[1], backwards, place)) == bits(one_by_one)


def test_has_its_own_place_of_randomness_for_each_policy() -> None:
    assert set(PURPOSES) == set(ORDER) and set(PIXELS) == set(ORDER) - set(GEOMETRY)
    assert len({*PURPOSES.values(), NEW_ORDER, OLD_ORDER}) == len(ORDER) + 2


@pytest.mark.parametrize("name", ORDER)
def test_gives_the_same_bits_at_the_same_place_and_others_elsewhere(name: str) -> None:
    policies = on(name) if name != "flip" else {"flip": {"probability": 0.5}}
    order = [(seed, epoch, index) for seed in (1, 2) for epoch in range(4) for index in range(4)]
    first = {place: bits(changed(FRAMES[0], policies, place)) for place in order}
    again = {place: bits(changed(FRAMES[0], policies, place)) for place in reversed(order)}
    assert first == again
    different = {str(value) for value in first.values()}
    # So small a picture has few ways to be moved by a pixel or two.
    expected = {"flip": 2, "blur": len(order) - 4}.get(name, len(order))
    assert expected <= len(different) <= (2 if name == "flip" else len(order))


def test_leaves_a_frame_as_it_is_without_policies_or_with_probability_0() -> None:
    assert bits(changed(FRAMES[0], {})) == bits(FRAMES[0])
    off = {name: {"probability": 0.0, "strength": 1.0} for name in ORDER}
    assert all(bits(changed(FRAMES[0], off, (1, 2, index))) == bits(FRAMES[0]) for index in range(20))


@pytest.mark.parametrize("name", [name for name in ORDER if name not in ("flip", "mosaic")])
def test_changes_next_to_nothing_at_strength_0(name: str) -> None:
    for index in range(10):
        result = changed(FRAMES[0], on(name, strength=0.0), (1, 2, index))
        assert labels(result) == labels(FRAMES[0])
        assert np.abs(result.image.astype(int) - FRAMES[0].image).max() <= 1


@pytest.mark.parametrize("name", PIXELS)
def test_leaves_labels_alone_where_only_light_changes(name: str) -> None:
    result = changed(FRAMES[0], on(name, strength=1.0))
    assert labels(result) == labels(FRAMES[0])
    assert result.image.tobytes() != FRAMES[0].image.tobytes()


def test_applies_a_policy_as_often_as_it_says() -> None:
    policies = {
        "flip": {"probability": 0.3},
        "photometric": {"probability": 0.3, "strength": 0.5},
    }
    results = [changed(FRAMES[0], policies, (5, 0, index)) for index in range(600)]
    flipped = np.array([labels(result) != labels(FRAMES[0]) for result in results])
    relit = np.array([result.image.mean() != FRAMES[0].image.mean() for result in results])
    # 600 draws of 0.3 lie within 0.05 of it, and 600 of 0.09 within 0.035, but for 1 of 100 seeds.
    assert abs(flipped.mean() - 0.3) < 0.05 and abs(relit.mean() - 0.3) < 0.05
    assert abs((flipped & relit).mean() - 0.09) < 0.035


def test_flips_pixels_boxes_lanes_and_tracks_and_back() -> None:
    once = changed(FRAMES[0], on("flip"))
    assert np.array_equal(once.image, FRAMES[0].image[:, ::-1]) and np.array_equal(once.mask, FRAMES[0].mask[:, ::-1])
    x1, y1, x2, y2 = FRAMES[0].boxes.T
    assert np.array_equal(once.boxes, np.stack([WIDTH - x2, y1, WIDTH - x1, y2], axis=1))
    assert all(
        np.array_equal(one[:, 0], WIDTH - lane[:, 0]) for one, lane in zip(once.lanes, FRAMES[0].lanes, strict=True)
    )
    for one, track in ((once.past, FRAMES[0].past), (once.future, FRAMES[0].future)):
        assert np.array_equal(one[..., 0], -track[..., 0]) and np.array_equal(one[..., 1], track[..., 1])
    twice = changed(once, on("flip"))
    for name, array in arrays(FRAMES[0]).items():
        assert np.allclose(arrays(twice)[name], array, rtol=0, atol=1e-4), name


def test_leaves_tracks_on_the_ground_when_only_the_picture_is_cut() -> None:
    result = changed(FRAMES[0], on("mosaic", "crop"))
    assert result.past is FRAMES[0].past and result.future is FRAMES[0].future


def test_only_mirrors_a_frame_of_tracks_alone() -> None:
    tracks = Example(image=None, past=FRAMES[0].past, future=FRAMES[0].future)
    result = changed(tracks, on(*ORDER))
    assert result.image is None and result.boxes is None and result.mask is None and result.lanes is None
    assert np.array_equal(result.past, tracks.past * [-1, 1]) and np.array_equal(result.future, tracks.future * [-1, 1])
    assert changed(tracks, on(*(name for name in ORDER if name != "flip"))) is tracks


def test_makes_no_labels_that_a_frame_lacks() -> None:
    bare = Example(image=FRAMES[0].image)
    assert list(arrays(changed(bare, on(*ORDER)))) == ["image"]
    empty = replace(
        FRAMES[0],
        boxes=np.zeros((0, 4), np.float32),
        categories=np.zeros(0, np.int64),
        crowd=np.zeros(0, bool),
        lanes=[],
    )
    result = changed(empty, on("crop", "flip"))
    assert result.boxes.shape == (0, 4) and result.boxes.dtype == np.float32 and result.lanes == []


@pytest.mark.parametrize("kind", ["boxes", "mask", "lanes"])
def test_drops_a_kind_of_label_from_a_mosaic_where_one_of_its_frames_lacks_it(
    kind: str,
) -> None:
    without = {"boxes": None, "categories": None, "crowd": None} if kind == "boxes" else {kind: None}
    result = changed(FRAMES[0], on("mosaic"), frames=[replace(FRAMES[1], **without)])
    missing = {name for name in ("boxes", "categories", "crowd", "mask", "lanes") if getattr(result, name) is None}
    assert missing == set(without)


def test_leaves_a_frame_out_of_mosaics_where_another_has_no_image() -> None:
    tracks = Example(image=None, past=FRAMES[0].past, future=FRAMES[0].future)
    assert changed(FRAMES[0], on("mosaic"), frames=[tracks]) is FRAMES[0]


def test_shows_four_frames_around_a_random_centre() -> None:
    def plain(shade: int) -> Example:
        return Example(image=np.full((HEIGHT, WIDTH, 3), shade, np.uint8))

    asked: list[int] = []

    def others(index: int) -> Example:
        asked.append(index)
        return plain(100 + index)

    centers, corners = set(), set()
    for index in range(20):
        image = augment(plain(10), on("mosaic"), (1, 0, index), others, 50).image[..., 0]
        shades = {
            int(image[0, 0]),
            int(image[0, -1]),
            int(image[-1, 0]),
            int(image[-1, -1]),
        }
        assert {int(shade) for shade in np.unique(image)} == shades == {10, *(100 + i for i in asked[-3:])}
        column, row = (
            int((image[0] == image[0, 0]).sum()),
            int((image[:, 0] == image[0, 0]).sum()),
        )
        assert 0.29 * WIDTH < column < 0.71 * WIDTH or image[0, 0] == image[0, -1]
        centers.add((column, row))
        corners.add(tuple(image[[0, 0, -1, -1], [0, -1, 0, -1]] == 10))
    assert len(asked) == 60 and min(asked) >= 0 and max(asked) < 50 and len(set(asked)) > 25
    assert len(centers) > 15 and len(corners) == 4


def test_crops_within_the_promised_zoom() -> None:
    ratios = []
    for index in range(200):
        box = changed(with_box(46, 26, 50, 30), on("crop", strength=0.3), (3, 0, index)).boxes[0]
        ratios.append((box[2] - box[0]) / 4)
    assert 1 / 1.3 - 0.02 < min(ratios) < 0.85 and 1.2 < max(ratios) < 1.3 + 0.02


WHOLE = Window(source=(0, 0, WIDTH, HEIGHT), target=(0, 0, WIDTH, HEIGHT))


def test_drops_boxes_with_their_category_when_little_is_left() -> None:
    shares = [1.0, MIN_SHARE + 0.01, MIN_SHARE - 0.01, 0.5, 0.1, 0.04]
    example = Example(
        image=FRAMES[0].image,
        boxes=np.array(
            [[10 - 20 * (1 - share), 10, 10 + 20 * share, 20] for share in shares],
            np.float32,
        )
        - [10, 0, 10, 0],
        categories=np.arange(6),
        crowd=np.array([False, False, False, False, True, True]),
    )
    boxes, categories, crowd = move_boxes(example, WHOLE)
    # A crowd stays while a pixel of it is left; of the last there is less.
    assert categories.tolist() == [0, 1, 3, 4] and crowd.tolist() == [
        False,
        False,
        False,
        True,
    ]
    assert boxes[:, 0].tolist() == [0, 0, 0, 0] and np.allclose(boxes[:, 2], [20, 5.2, 10, 2], atol=1e-5)


def lane(*points: tuple[float, float]) -> np.ndarray:
    """A lane's points, [P, 2] float32."""
    return np.array(points, dtype=np.float32)


def test_cuts_lanes_exactly_at_the_border_and_keeps_the_order_of_their_points() -> None:
    through, upwards = (
        lane((-10, 10), (10, 20), (WIDTH + 10, 20)),
        lane((50, HEIGHT + 20), (50, HEIGHT - 20), (60, 5)),
    )
    cut = move_lanes([through, upwards], WHOLE)
    assert cut[0].tolist() == [[0, 15], [10, 20], [WIDTH, 20]]
    assert cut[1].tolist() == [[50, HEIGHT], [50, HEIGHT - 20], [60, 5]]
    scaled = move_lanes([through], Window(source=(0, 0, 48, 28), target=(10, 0, 58, 56)))
    assert scaled[0].tolist() == [[10, 30], [20, 40], [58, 40]]


def test_keeps_the_longest_stretch_of_a_lane_that_leaves_and_comes_back() -> None:
    there_and_back = lane((20, 5), (20, -10), (40, -10), (40, 30), (50, 30))
    assert move_lanes([there_and_back], WHOLE)[0].tolist() == [
        [40, 0],
        [40, 30],
        [50, 30],
    ]


def test_drops_lanes_that_are_outside_or_mere_points_and_keeps_those_on_the_border() -> None:
    outside, point, crossing_nothing = (
        lane((-5, 3), (-1, 30)),
        lane((5, 5)),
        lane((-5, 5), (5, -5.5)),
    )
    nothing, speck = np.zeros((0, 2), np.float32), lane((4, 4), (4.2, 4.2))
    rim = lane((WIDTH, 10), (WIDTH + 1e-5, 20), (WIDTH, 30))
    assert move_lanes([outside, point, crossing_nothing, nothing, speck], WHOLE) == []
    kept = move_lanes([point, rim, outside], WHOLE)
    assert [points.tolist() for points in kept] == [[[WIDTH, 10], [WIDTH, 20], [WIDTH, 30]]]


def roughness(image: np.ndarray) -> float:
    """Mean absolute second difference along rows and columns: energy of high frequencies."""
    return sum(float(np.abs(np.diff(image.astype(float), n=2, axis=axis)).mean()) for axis in (0, 1))


def contrast(image: np.ndarray) -> float:
    """Mean standard deviation along rows."""
    return float(image.astype(float).mean(axis=2).std(axis=1).mean())


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_changes_light_and_weather_in_the_promised_direction(strength: float) -> None:
    for index, example in enumerate(FRAMES):
        before = example.image
        after = {name: changed(example, on(name, strength=strength), (4, 0, index)).image for name in PIXELS}
        assert after["night"].mean() < before.mean() * (1 - 0.5 * strength)
        assert contrast(after["fog"]) < contrast(before) * (1 - 0.2 * strength)
        assert contrast(after["rain"]) < contrast(before) and after["rain"].mean() < before.mean()
        assert roughness(after["noise"]) > roughness(before) * (1 + strength / 10)
        # A weak motion is shorter than a pixel of so small a picture.
        assert roughness(after["blur"]) <= roughness(before) * (0.9 if strength == 1 else 1)


def test_blurs_without_moving_things() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[24:32, 44:52] = 240
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    for index in range(20):
        after = changed(Example(image=image), on("blur", strength=1.0), (6, 0, index)).image[..., 0].astype(float)
        assert abs((after * x).sum() / after.sum() - 48) < 0.6 and abs((after * y).sum() / after.sum() - 28) < 0.6
        assert abs(after.sum() / image[..., 0].sum() - 1) < 0.05


def test_lights_the_road_ahead_more_than_the_sky_and_the_sides_at_night() -> None:
    gray = Example(image=np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    for index in range(10):
        image = changed(gray, on("night", strength=1.0), (4, 0, index)).image.astype(float)
        road = image[34:44, 40:56].mean()
        red, _, blue = image[:12].mean(axis=(0, 1))
        assert blue > 1.1 * red
        assert road > 2 * image[:12].mean() and road > 1.5 * image[34:44, :10].mean()


def test_hides_in_fog_what_is_far_more_than_what_is_near() -> None:
    stripes = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stripes[:, ::2] = 200
    for index in range(10):
        image = changed(Example(image=stripes), on("fog", strength=1.0), (4, 0, index)).image.astype(float)
        difference = np.abs(np.diff(image[..., 0], axis=1)).mean(axis=1)
        assert difference[:20].max() < difference[30] < difference[40] < difference[55] < 200


def test_fades_light_by_koschmiedes_law() -> None:
    image = np.full((1, 2, 3), 100, np.uint8)
    depth = np.array([[0.0, np.log(2)]])
    assert veil(image, depth, 200.0)[0, :, 0].tolist() == [100, 150]


def test_streaks_are_brighter_than_the_scene_they_fall_through() -> None:
    gray = Example(image=np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
    image = changed(gray, on("rain", strength=1.0)).image[..., 0].astype(float)
    share = (image > np.median(image) + 15).mean()
    assert 0.02 < share < 0.4
    # They fall: what is bright goes on below more often than beside.
    bright = image > np.median(image) + 15
    assert (bright[1:] & bright[:-1]).sum() > 1.5 * (bright[:, 1:] & bright[:, :-1]).sum()


def test_makes_shot_noise_grow_with_light() -> None:
    stretches = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stretches[:, : WIDTH // 2], stretches[:, WIDTH // 2 :] = 60, 200
    image = changed(Example(image=stretches), on("noise", strength=1.0)).image.astype(float)
    assert image[:, WIDTH // 2 :].std() > 1.15 * image[:, : WIDTH // 2].std() > 3


def test_darkens_what_is_night_already_only_a_little() -> None:
    dim = Example(image=np.full((HEIGHT, WIDTH, 3), 20, np.uint8))
    assert changed(dim, on("night", strength=1.0)).image.mean() > 12


def test_refuses_a_policy_that_it_does_not_know() -> None:
    with pytest.raises(KeyError, match="snow"):
        changed(FRAMES[0], on("snow"))

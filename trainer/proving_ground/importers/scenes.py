"""A seed becomes a dataset of driving scenes: every frame is a function of (seed, split, index).

Camera at 1.5 m, flat ground, pinhole perspective. Image coordinates are pixels; ground coordinates are metres, x to the
right and z ahead.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from proving_ground.errors import Refused
from proving_ground.importers.writing import write_dataset
from proving_ground.randomness import generator

ATTRIBUTES = {"timeofday": ("day", "dusk", "night"), "weather": ("clear", "rain", "fog"), "scene": ("city", "highway")}
CLASSES = ("background", "sky", "road", "lane", "vehicle", "pedestrian", "rider")
CAMERA_HEIGHT = 1.5
LANE_WIDTH = 3.5
# Width and height in metres, and speed in metres a second.
MOVERS = {"vehicle": (1.9, 1.6, 9.0), "pedestrian": (0.6, 1.75, 1.3), "rider": (0.7, 1.8, 4.5)}
TRACK_STEP_SECONDS = 0.4
PAST_STEPS, FUTURE_STEPS = 4, 6
SPLITS = {"train": 0, "val": 1, "test": 2}
# Below this width or height an object can't be told from noise, and isn't labelled.
MIN_PIXELS = 3.0

Color = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Mover:
    """One thing that moves: its category, where it stands on the ground, and its velocity."""

    category: str
    x: float
    z: float
    velocity: tuple[float, float]
    color: Color


@dataclass(frozen=True, kw_only=True)
class View:
    """The camera's geometry in one frame."""

    width: int
    height: int
    horizon: float
    center: float
    focal: float

    def project(self, x: float, z: float) -> tuple[float, float]:
        """Project a point of the ground to pixels."""
        return self.center + self.focal * x / z, self.horizon + self.focal * CAMERA_HEIGHT / z

    def box(self, mover: Mover) -> tuple[float, float, float, float]:
        """Box of a mover in pixels, x1 y1 x2 y2, not clipped."""
        width, height, _ = MOVERS[mover.category]
        x, ground = self.project(mover.x, mover.z)
        half = self.focal * width / mover.z / 2
        return x - half, ground - self.focal * height / mover.z, x + half, ground


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that one frame shows."""

    attributes: dict[str, str]
    view: View
    lanes: list[float]
    movers: list[Mover]


def import_scenes(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe; raises Refused for shares that can't be met."""
    chosen = {name: attributes_of(spec, name) for name in SPLITS}
    days = {name: days_of(spec, name) for name in SPLITS}

    def draw(split: str, index: int, folder: Path) -> dict[str, Any]:
        line = draw_frame(spec, split, index, chosen[split][index], folder)
        day = days[split][index]
        return line if day is None else {**line, "captured": day.isoformat()}

    write_dataset(out, spec, {name: len(frames) for name, frames in chosen.items()}, draw)


def attributes_of(spec: dict[str, Any], split: str) -> list[dict[str, str]]:
    """Attributes of each frame of a split; the parts' shares are exact, by largest remainder."""
    frames: list[dict[str, str]] = []
    for number, part in enumerate(spec["splits"][split]):
        count = part["frames"]
        columns = {}
        for position, (name, values) in enumerate(ATTRIBUTES.items()):
            shares = part.get("attributes", {}).get(name) or dict.fromkeys(values, 1 / len(values))
            if abs(sum(shares.values()) - 1) > 1e-6:
                raise Refused(
                    f"splits.{split}[{number}].attributes.{name}: the shares sum to {sum(shares.values())}, not to 1"
                )
            column = [value for value, n in share_out(count, shares).items() for _ in range(n)]
            order = generator(spec["seed"], SPLITS[split], number, 1_000_000 + position).permutation(count)
            columns[name] = [column[place] for place in order]
        frames += [{name: columns[name][index] for name in ATTRIBUTES} for index in range(count)]
    return frames


def days_of(spec: dict[str, Any], split: str) -> list[date | None]:
    """The day of each frame of a split; a part's frames are spread evenly over its days, in order."""
    days: list[date | None] = []
    for number, part in enumerate(spec["splits"][split]):
        where, span = f"splits.{split}[{number}].captured", part.get("captured")
        if span is None:
            days += [None] * part["frames"]
            continue
        try:
            first, last = date.fromisoformat(span["from"]), date.fromisoformat(span["to"])
        except ValueError as error:
            raise Refused(f"{where}: {error}") from error
        if last < first:
            raise Refused(f"{where}: it ends on {last}, before it begins on {first}")
        count = (last - first).days + 1
        days += [first + timedelta(days=index * count // part["frames"]) for index in range(part["frames"])]
    return days


def share_out(count: int, shares: dict[str, float]) -> dict[str, int]:
    """Split `count` by shares so that the parts sum to it (largest remainder)."""
    exact = {name: count * share for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: count - sum(parts.values())]:
        parts[name] += 1
    return parts


def draw_frame(
    spec: dict[str, Any], split: str, index: int, attributes: dict[str, str], folder: Path
) -> dict[str, Any]:
    """Draw one frame, write its image and mask, and return its line of the manifest."""
    rng = generator(spec["seed"], SPLITS[split], index)
    scene = compose(rng, spec["width"], spec["height"], attributes)
    image, mask = paint(rng, scene)
    name = f"{split}-{index:06d}"
    Image.fromarray(image).save(folder / f"images/{name}.jpg", quality=92)
    Image.fromarray(mask).save(folder / f"masks/{name}.png", compress_level=1)
    labelled = [(mover, clip_box(scene.view, scene.view.box(mover))) for mover in scene.movers]
    return {
        "source-ref": f"images/{name}.jpg",
        "width": spec["width"],
        "height": spec["height"],
        "attributes": attributes,
        "detection": [
            {"category": mover.category, "box": [round(value, 2) for value in box], "crowd": False}
            for mover, box in labelled
            if box is not None and is_visible(mask, box, CLASSES.index(mover.category))
        ],
        "segmentation-ref": f"masks/{name}.png",
        "lanes": [lane_points(scene.view, offset) for offset in scene.lanes],
        "tracks": [track(mover) for mover, box in labelled if box is not None],
    }


def compose(rng: np.random.Generator, width: int, height: int, attributes: dict[str, str]) -> Scene:
    """Place the road, its lanes and what moves on and beside it."""
    view = View(
        width=width,
        height=height,
        horizon=height * rng.uniform(0.34, 0.42),
        center=width * rng.uniform(0.44, 0.56),
        focal=width * 0.9,
    )
    highway = attributes["scene"] == "highway"
    shift = rng.uniform(-0.6, 0.6)
    lanes = [shift + LANE_WIDTH * (position - 0.5) for position in ((-1, 0, 1, 2) if highway else (0, 1))]
    movers = []
    plan = {"vehicle": (1, 5), "pedestrian": (0, 2) if highway else (1, 5), "rider": (0, 2) if highway else (0, 3)}
    for category, (low, high) in plan.items():
        movers += [place_mover(rng, category, lanes) for _ in range(rng.integers(low, high))]
    movers.sort(key=lambda mover: -mover.z)
    return Scene(attributes=attributes, view=view, lanes=lanes, movers=movers)


def place_mover(rng: np.random.Generator, category: str, lanes: list[float]) -> Mover:
    """Put a vehicle into a lane, a pedestrian or a rider near the road's edge."""
    speed = MOVERS[category][2] * rng.uniform(0.3, 1.2)
    color = tuple(float(value) for value in rng.uniform(30, 220, 3))
    if category == "vehicle":
        x, z = rng.choice(lanes[:-1]) + LANE_WIDTH / 2 + rng.uniform(-0.4, 0.4), rng.uniform(8, 38)
        return Mover(category=category, x=x, z=z, velocity=(0.0, speed), color=color)
    side = rng.choice([-1.0, 1.0])
    edge = lanes[0] if side < 0 else lanes[-1]
    x, z = edge + side * rng.uniform(-1.2, 2.5), rng.uniform(6, 22)
    across = rng.uniform(-1, 1) * speed if category == "pedestrian" else 0.0
    return Mover(category=category, x=x, z=z, velocity=(across, speed if category == "rider" else 0.0), color=color)


def paint(rng: np.random.Generator, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Paint a scene: image [H, W, 3] uint8 and mask [H, W] uint8 of class indices."""
    view = scene.view
    image = Image.new("RGB", (view.width, view.height))
    mask = Image.new("L", (view.width, view.height), CLASSES.index("background"))
    brush = Brush(ImageDraw.Draw(image), ImageDraw.Draw(mask), scene, rng)
    brush.background()
    brush.road()
    for mover in scene.movers:
        brush.mover(mover)
    pixels = np.asarray(image, dtype=np.float32)
    lights = brush.lights()
    return expose(rng, pixels, lights, scene.attributes), np.asarray(mask, dtype=np.uint8)


class Brush:
    """Draws the same shapes into the image, with the weather's colours, and into the mask."""

    def __init__(
        self, image: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, scene: Scene, rng: np.random.Generator
    ) -> None:
        self.image, self.mask, self.scene, self.rng = image, mask, scene, rng
        self.haze = {"clear": 400.0, "rain": 90.0, "fog": 22.0}[scene.attributes["weather"]]
        self.haze_color: Color = {"clear": (190, 205, 220), "rain": (120, 125, 132), "fog": (176, 178, 180)}[
            scene.attributes["weather"]
        ]

    def through_haze(self, color: Color, distance: float) -> tuple[int, int, int]:
        """Colour of a thing at a distance: Koschmieder's law of visibility."""
        seen = np.exp(-distance / self.haze)
        return tuple(round(seen * own + (1 - seen) * haze) for own, haze in zip(color, self.haze_color, strict=True))

    def polygon(self, points: list[tuple[float, float]], color: Color, distance: float, name: str) -> None:
        """Fill a polygon of a class."""
        self.image.polygon(points, fill=self.through_haze(color, distance))
        self.mask.polygon(points, fill=CLASSES.index(name))

    def rectangle(self, box: tuple[float, float, float, float], color: Color, distance: float, name: str) -> None:
        """Fill a rectangle of a class."""
        x1, y1, x2, y2 = box
        self.polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], color, distance, name)

    def background(self) -> None:
        """Draw the sky, the land and, in a city, houses."""
        view = self.scene.view
        city = self.scene.attributes["scene"] == "city"
        sky = {"clear": (120, 170, 230), "rain": (125, 130, 138), "fog": (178, 180, 182)}[
            self.scene.attributes["weather"]
        ]
        self.rectangle((0, 0, view.width, view.horizon), sky, 0, "sky")
        land = (112, 108, 104) if city else (88, 128, 70)
        self.rectangle((0, view.horizon, view.width, view.height), land, 25, "background")
        x = 0.0
        while city and x < view.width:
            width, tall = self.rng.uniform(10, 30), self.rng.uniform(6, 30)
            shade = self.rng.uniform(70, 170)
            self.rectangle(
                (x, view.horizon - tall, x + width, view.horizon + 2),
                (shade, shade * 0.92, shade * 0.85),
                45,
                "background",
            )
            x += width * self.rng.uniform(1.0, 1.5)

    def road(self) -> None:
        """Draw the road and its lane lines, the inner ones dashed."""
        view, lanes = self.scene.view, self.scene.lanes
        left, right = lanes[0] - 0.8, lanes[-1] + 0.8
        near, far = CAMERA_HEIGHT * view.focal / (view.height - view.horizon) * 0.9, 200.0
        shade = self.rng.uniform(62, 92)
        corners = [
            view.project(left, near),
            view.project(left, far),
            view.project(right, far),
            view.project(right, near),
        ]
        self.polygon(corners, (shade, shade, shade + 4), 12, "road")
        for number, offset in enumerate(lanes):
            dashed = 0 < number < len(lanes) - 1
            stretches = [(z, z + 3.0) for z in np.arange(near, 60, 6.0)] if dashed else [(near, 20.0), (20.0, 70.0)]
            for begin, end in stretches:
                quad = [
                    view.project(offset + side, z)
                    for side, z in ((-0.11, begin), (-0.11, end), (0.11, end), (0.11, begin))
                ]
                self.polygon(quad, (225, 222, 205), begin, "lane")

    def mover(self, mover: Mover) -> None:
        """Draw a vehicle with its window and wheels, or a person, with a bicycle where they ride."""
        x1, y1, x2, y2 = self.scene.view.box(mover)
        width, height = x2 - x1, y2 - y1
        dark = (25, 25, 30)
        if mover.category == "vehicle":
            self.rectangle((x1, y1 + 0.3 * height, x2, y2 - 0.08 * height), mover.color, mover.z, "vehicle")
            self.rectangle((x1 + 0.15 * width, y1, x2 - 0.15 * width, y1 + 0.4 * height), dark, mover.z, "vehicle")
            for at in (x1 + 0.05 * width, x2 - 0.25 * width):
                self.rectangle((at, y2 - 0.2 * height, at + 0.2 * width, y2), dark, mover.z, "vehicle")
            return
        skin, middle = (205, 165, 135), (x1 + x2) / 2
        head = 0.085 * height
        if mover.category == "rider":
            self.rectangle(
                (middle - 0.12 * width, y1 + 0.55 * height, middle + 0.12 * width, y2), dark, mover.z, "rider"
            )
            self.rectangle((x1, y1 + 0.5 * height, x2, y1 + 0.56 * height), dark, mover.z, "rider")
            self.rectangle(
                (x1 + 0.1 * width, y1 + 0.16 * height, x2 - 0.1 * width, y1 + 0.6 * height),
                mover.color,
                mover.z,
                "rider",
            )
        else:
            self.rectangle(
                (x1 + 0.15 * width, y1 + 0.16 * height, x2 - 0.15 * width, y1 + 0.58 * height),
                mover.color,
                mover.z,
                mover.category,
            )
            for at in (x1 + 0.18 * width, x2 - 0.42 * width):
                self.rectangle((at, y1 + 0.55 * height, at + 0.24 * width, y2), dark, mover.z, mover.category)
        self.rectangle((middle - head, y1, middle + head, y1 + 2.1 * head), skin, mover.z, mover.category)

    def lights(self) -> np.ndarray:
        """Light that things give off in the dark, [H, W, 3] float32: lamps of vehicles and their glow."""
        view = self.scene.view
        light = Image.new("RGB", (view.width, view.height))
        draw = ImageDraw.Draw(light)
        for mover in self.scene.movers:
            if mover.category != "vehicle":
                continue
            x1, y1, x2, y2 = view.box(mover)
            radius = max(1.0, 0.09 * (x2 - x1))
            at = y1 + 0.62 * (y2 - y1)
            for x in (x1 + 1.4 * radius, x2 - 1.4 * radius):
                draw.ellipse((x - radius, at - radius, x + radius, at + radius), fill=(255, 70, 50))
        return np.asarray(light, dtype=np.float32)


def expose(rng: np.random.Generator, pixels: np.ndarray, lights: np.ndarray, attributes: dict[str, str]) -> np.ndarray:
    """Turn painted colours into a camera's picture: the hour's light, rain, the sensor's noise. [H, W, 3] uint8."""
    height, width, _ = pixels.shape
    hour = attributes["timeofday"]
    if hour == "night":
        # Our own headlights light the road ahead; the rest is dark and blue.
        y, x = np.mgrid[0:height, 0:width]
        beam = np.exp(-(((x - width / 2) / (0.30 * width)) ** 2) - ((y - 0.72 * height) / (0.26 * height)) ** 2)
        level = (0.07 + 0.26 * beam)[..., None] * rng.uniform(0.7, 1.2)
        pixels = pixels * level * np.array([0.85, 0.92, 1.1], dtype=np.float32) + 0.9 * lights
        noise = 7.0
    elif hour == "dusk":
        pixels = pixels * np.array([0.72, 0.55, 0.5], dtype=np.float32) * rng.uniform(0.85, 1.15) + 0.5 * lights
        noise = 5.0
    else:
        pixels = pixels * rng.uniform(0.8, 1.15)
        noise = 3.5
    if attributes["weather"] == "rain":
        streaks = Image.new("L", (width, height))
        draw = ImageDraw.Draw(streaks)
        for x, y, length in rng.uniform((0, 0, 3), (width, height, 9), (70, 3)):
            draw.line((x, y, x - 0.25 * length, y + length), fill=255)
        drops = np.asarray(streaks, dtype=np.float32)[..., None] / 255
        pixels = pixels * (1 - 0.35 * drops) + (40 if hour == "night" else 170) * 0.35 * drops
    pixels = pixels + rng.normal(0, noise, pixels.shape).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def clip_box(view: View, box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """Clip a box to the image; None where too little of it is left."""
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(view.width)), min(box[3], float(view.height))
    return (x1, y1, x2, y2) if x2 - x1 >= MIN_PIXELS and y2 - y1 >= MIN_PIXELS else None


def is_visible(mask: np.ndarray, box: tuple[float, float, float, float], index: int) -> bool:
    """Whether enough of a box shows its own class, so that what stands behind others isn't asked for."""
    x1, y1, x2, y2 = (round(value) for value in box)
    inside = mask[y1:y2, x1:x2]
    return inside.size > 0 and float((inside == index).mean()) > 0.3


def lane_points(view: View, offset: float) -> list[list[float]]:
    """Points of a lane line from near to far, in pixels, inside the image."""
    points = [view.project(offset, z) for z in np.geomspace(3.0, 60.0, 16)]
    return [[round(x, 2), round(y, 2)] for x, y in points if 0 <= x < view.width and 0 <= y < view.height]


def track(mover: Mover) -> dict[str, Any]:
    """Past and future of a mover on the ground, in metres, a point each 0.4 s; the present is the last of the past."""
    steps = np.arange(1 - PAST_STEPS, FUTURE_STEPS + 1) * TRACK_STEP_SECONDS
    points = [[round(mover.x + mover.velocity[0] * t, 3), round(mover.z + mover.velocity[1] * t, 3)] for t in steps]
    return {"category": mover.category, "past": points[:PAST_STEPS], "future": points[PAST_STEPS:]}

"""Clear daylight becomes fog, rain or night: changes of a frame's pixels that leave labels where they are.

Each takes an image [H, W, 3] uint8, a generator and a strength in 0..1, and returns a new image; at strength 0 it is
the same. How far a pixel is from us comes from its row: a camera 1.5 m above a flat road.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from proving_ground.data.camera import recolor, sensor_noise

# The horizon lies between these shares of the height.
HORIZON = (0.36, 0.48)
# Metres: the camera's height, and the distance of all that stands above the horizon. Things that stand on the road
# reach above it from near, so that it mustn't be so far that their upper halves disappear.
CAMERA_HEIGHT, FAR = 1.5, 30.0
# At strength 1: extinction in 1/m (a visibility of 28 m), and that of rain's veil.
FOG, VEIL = 0.14, 0.035
# At strength 1: streaks of rain, whatever the image's size.
STREAKS = 240
# Colours of what is left of the light at night, and of headlights.
NIGHT_TINT, HEADLIGHT_TINT = (0.62, 0.82, 1.25), (1.08, 1.0, 0.82)
# Frames darker than this mean level are darkened less: what is night already would be black.
DAYLIGHT = 80.0


def fog(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Fog in drifts: Koschmieder's law with the distance that a row has on a flat road."""
    amount, horizon = strength * rng.uniform(0.5, 1), rng.uniform(*HORIZON)
    drifts = Image.fromarray(rng.uniform(0.6, 1.4, (4, 6)).astype(np.float32))
    height, width = image.shape[:2]
    density = FOG * amount * np.asarray(drifts.resize((width, height), Image.Resampling.BICUBIC))
    return veil(image, density * road_distance(height, width, horizon)[:, None], 30 + 1.3 * float(image.mean()))


def rain(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Rain: streaks in one wind, a thin veil over what is far, less light, contrast and colour, a slight blur."""
    amount, horizon = strength * rng.uniform(0.5, 1), rng.uniform(*HORIZON)
    height, width = image.shape[:2]
    mean = float(image.mean())
    distance = road_distance(height, width, horizon)[:, None]
    dim, contrast = 1 - 0.35 * amount, 1 - 0.25 * amount
    hazy = veil(image, VEIL * amount * distance, 20 + 1.1 * mean)
    dull = recolor(hazy, 1 - 0.45 * amount, dim * contrast, dim * (1 - contrast) * mean)
    wet = Image.fromarray(dull).filter(ImageFilter.BoxBlur(0.005 * height * amount))
    # A drop shows the sky behind us: brighter than the scene, by day and by night.
    drop = round(min(0.9 * mean + 95, 255))
    wet.paste((drop, drop, min(drop + 6, 255)), mask=streaks(rng, width, height, amount))
    return np.asarray(wet)


def night(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Night: little light, and that blue; our own headlights' cone on the road; a pushed sensor's noise."""
    amount = strength * rng.uniform(0.75, 1) * min(float(image.mean()) / DAYLIGHT, 1)
    horizon, center, ambient = rng.uniform(*HORIZON), rng.uniform(0.44, 0.56), rng.uniform(0.1, 0.18)
    height, width = image.shape[:2]
    rows = ((np.arange(height, dtype=np.float32) + 0.5) / height - horizon)[:, None]
    # The sky gives no light of its own, what stands above the road is lit a little.
    left = ambient * (1 - 0.55 / (1 + np.exp(rows / 0.03)))
    beam = headlights(rows, (np.arange(width, dtype=np.float32) + 0.5) / width - center, 1 - horizon)
    light = left[..., None] * np.array(NIGHT_TINT, dtype=np.float32)
    light = light + beam[..., None] * np.array(HEADLIGHT_TINT, dtype=np.float32)
    pale = recolor(image, 1 - 0.3 * amount, 1.0, 0.0)
    dark = np.clip(pale * (1 - amount * (1 - light)), 0, 255).astype(np.uint8)
    return sensor_noise(dark, rng, 4.0 * amount, 0.25 * amount)


def headlights(rows: np.ndarray, columns: np.ndarray, below: float) -> np.ndarray:
    """Light of dipped headlights, [H, W] float32 in 0..1, by rows [H, 1] below the horizon and columns [W] from the
    middle, in shares of the image; `below` is how much of it lies below the horizon."""
    depth = np.clip(rows / below, 0, 1)
    spread = 0.1 + 0.42 * depth
    # The cut-off keeps the light out of the eyes of those who come; its edge is soft.
    reach = 1 / (1 + np.exp(-(rows - 0.05) / 0.02)) * np.exp(-1.1 * depth)
    spill = 0.18 * np.exp(-((rows / 0.12) ** 2))
    cone = np.exp(-((columns / spread) ** 2))
    return (0.85 * reach * cone + spill * np.exp(-((columns / 0.25) ** 2))).astype(np.float32)


def road_distance(height: int, width: int, horizon: float) -> np.ndarray:
    """Metres to the road in each row, [H] float32, for a horizontal field of view of 53 degrees; FAR above it."""
    below = np.arange(height, dtype=np.float32) + 0.5 - horizon * height
    # The distance goes over into FAR smoothly: a hard cap shows as an edge across the picture.
    return CAMERA_HEIGHT * width / (np.maximum(below, 0) + CAMERA_HEIGHT * width / FAR)


def veil(image: np.ndarray, depth: np.ndarray, airlight: float) -> np.ndarray:
    """Koschmieder's law: light fades by exp(-depth), the air's own takes its place; optical depth [H, W] or [H, 1]."""
    air = min(airlight, 225.0)
    return np.rint(air + (image - np.float32(air)) * np.exp(-depth)[..., None]).astype(np.uint8)


def streaks(rng: np.random.Generator, width: int, height: int, amount: float) -> Image.Image:
    """Opacity of falling drops, an image "L": many short and faint, few long and bright, slanted by one wind."""
    opacity = Image.new("L", (width, height))
    draw = ImageDraw.Draw(opacity)
    slant = rng.uniform(-0.35, 0.35)
    drops = rng.random((round(STREAKS * amount), 3))
    near = rng.random(len(drops)) ** 3
    lengths = height * (0.03 + 0.13 * near)
    thickness = max(round(height / 300), 1)
    for (x, y, jitter), length, close in zip(drops.tolist(), lengths.tolist(), near.tolist(), strict=True):
        x, y = x * 1.2 * width - 0.1 * width, y * 1.1 * height - 0.1 * height
        end = (x + (slant + 0.06 * (jitter - 0.5)) * length, y + length)
        draw.line((x, y, *end), fill=round(60 + 90 * close), width=thickness)
    return opacity

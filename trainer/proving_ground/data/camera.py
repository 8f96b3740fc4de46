"""A frame is exposed, focused and read out in another way: changes of its pixels that leave labels where they are.

Each takes an image [H, W, 3] uint8, a generator and a strength in 0..1, and returns a new image; at strength 0 it is
the same. Lengths are shares of the image's height, so that a strength means the same at every size.
"""

from statistics import NormalDist

import numpy as np
from PIL import Image, ImageFilter

# Standard deviation of the widest Gaussian blur, and length of the longest motion, in heights of the image.
WIDEST_BLUR, LONGEST_MOTION = 0.025, 0.12
# At strength 1: standard deviation of read noise, and variance of shot noise for each level of a pixel.
READ_NOISE, SHOT_NOISE = 14.0, 1.2
# Standard normal at 256 equal steps of probability: a byte of chance looks its deviate up, which is six times as fast
# as drawing normal numbers.
DEVIATES = np.array([NormalDist().inv_cdf((step + 0.5) / 256) for step in range(256)], dtype=np.float32)
# Luma of ITU-R BT.601.
LUMA = (0.299, 0.587, 0.114)


def photometric(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Change gamma, contrast, brightness and saturation by factors in 1 / (1 + strength) .. 1 + strength."""
    gamma, contrast, brightness, saturation = (1 + strength) ** rng.uniform(-1, 1, 4)
    mean = image.mean() / 255
    # A pixel has 256 values: the arithmetic is done for those, and the image only looks them up.
    levels = (np.linspace(0, 1, 256) ** gamma - mean) * contrast + mean
    table = np.clip(np.rint(levels * brightness * 255), 0, 255).astype(np.uint8)
    return recolor(np.take(table, image), saturation, 1.0, 0.0)


def blur(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Blur as out of focus (Gaussian) or as moved (uniform along a line), one as often as the other."""
    moves, angle = rng.random() < 0.5, rng.uniform(0, np.pi)
    amount = strength * rng.uniform(0.3, 1) * image.shape[0]
    if moves:
        return smear(image, LONGEST_MOTION * amount * np.cos(angle), LONGEST_MOTION * amount * np.sin(angle))
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(WIDEST_BLUR * amount)))


def noise(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Add a sensor's noise, 0.3 to 1 of the strength."""
    amount = strength * rng.uniform(0.3, 1)
    return sensor_noise(image, rng, READ_NOISE * amount, SHOT_NOISE * amount)


def sensor_noise(image: np.ndarray, rng: np.random.Generator, read: float, shot: float) -> np.ndarray:
    """Add noise with variance `read`^2 + `shot` * level (Foi et al. 2008, Poissonian-Gaussian), clipped as a sensor."""
    drawn = np.take(DEVIATES, np.frombuffer(rng.bytes(image.size), dtype=np.uint8)).reshape(image.shape)
    spread = np.sqrt(read**2 + shot * np.arange(256)).astype(np.float32)
    return np.clip(np.rint(image + drawn * np.take(spread, image)), 0, 255).astype(np.uint8)


def recolor(image: np.ndarray, saturation: float, gain: float, offset: float) -> np.ndarray:
    """Scale the distance of colours from gray by `saturation`, then every level by `gain`, and add `offset`."""
    rows = [
        [*(gain * ((1 - saturation) * luma + saturation * (row == column)) for column, luma in enumerate(LUMA)), offset]
        for row in range(3)
    ]
    return np.asarray(Image.fromarray(image).convert("RGB", tuple(value for row in rows for value in row)))


def smear(image: np.ndarray, across: float, down: float) -> np.ndarray:
    """Average an image along a line of `across` and `down` pixels, with its edge prolonged.

    Halves of the line are averaged one on another, so that it takes the logarithm of its length in passes.
    """
    height, width = image.shape[:2]
    margins = int(np.ceil(abs(down))), int(np.ceil(abs(across)))
    pixels = np.pad(image, ((margins[0], margins[0]), (margins[1], margins[1]), (0, 0)), mode="edge").astype(np.float32)
    while max(abs(across), abs(down)) >= 1:
        across, down = across / 2, down / 2
        x, y = round(across), round(down)
        tall, wide = pixels.shape[0] - abs(y), pixels.shape[1] - abs(x)
        one = pixels[max(y, 0) :][:tall, max(x, 0) :][:, :wide]
        other = pixels[max(-y, 0) :][:tall, max(-x, 0) :][:, :wide]
        pixels = (one + other) / 2
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.rint(pixels[top : top + height, left : left + width]).astype(np.uint8)

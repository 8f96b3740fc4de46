"""A file's bytes become an upright picture in 8-bit RGB, or a mask's values; what is neither is refused by name."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from proving_ground.errors import Refused

# What cameras and label tools write. Pillow opens more, some of it by starting a program (EPS).
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "PPM")
# Formats that keep each value of a mask as it was.
MASK_FORMATS = ("PNG", "TIFF", "BMP")
# Pillow's own limit against decompression bombs, which half a gigabyte of pixels fits into. Checked here, where the
# file's name and its sides are known.
MOST_PIXELS = 178_956_970
Image.MAX_IMAGE_PIXELS = None
# A file that ends like this is whole; of one that doesn't, only its pixels can tell.
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
# Modes whose every pixel is a colour of 8 bits: nothing in them is left to be refused.
PLAIN = ("1", "L", "P", "RGB", "CMYK")
# A 16-bit picture of fewer levels than this, after scaling, has lost what it showed.
LEAST_LEVELS = 16
# Pillow spreads gray of 2 and 4 bits over 0 to 255; the values of a mask are what they were before.
SPREAD = {"L;2": 85, "L;4": 17}
# Files that people take for images, by what they begin with.
STRANGERS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("HEIC, which can't be read", lambda head: head[4:8] == b"ftyp" and head[8:10] in (b"he", b"mi", b"ms")),
    ("SVG, which has no pixels", lambda head: b"<svg" in head.lower()),
    ("a pointer of Git LFS: fetch the file itself", lambda head: head.startswith(b"version https://git-lfs")),
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says before its pixels are decoded: the upright picture's size, and how EXIF turns it to that."""

    size: tuple[int, int]
    """Width and height, in pixels."""

    orientation: int
    """EXIF's, 1 to 8: 1 is upright, and from 5 on width and height change places."""

    def differs(self, said: tuple[object, object], sayer: str) -> str | None:
        """Why a size that somebody says of it isn't its own; None where it is."""
        if said == self.size:
            return None
        found = f"has {self.size[0]}x{self.size[1]} pixels; {sayer} says {said[0]}x{said[1]}"
        if self.orientation >= 5 and said == self.size[::-1]:
            found += (
                f", its size before the EXIF orientation ({self.orientation}) turns it: sizes and labels must be those "
                "of the upright picture, as viewers show it"
            )
        return found


def read_picture(content: bytes, name: str, near: tuple[int, int] | None = None) -> tuple[Image.Image, Header]:
    """Decode an image to 8-bit RGB, upright; raises Refused naming the file.

    near: where the picture will be resized to this (width, height), a JPEG's decoder leaves out what that would average
    away.
    """
    with opened(content, name, "an image") as image:
        header = header_of(image, content)
        if near is not None:
            image.draft("RGB", near if header.orientation < 5 else near[::-1])
        return to_rgb(image, header, name), header


def check_picture(content: bytes, name: str) -> Header:
    """Header of an image that can be read; raises Refused naming the file. Decodes it only where that is in doubt."""
    with opened(content, name, "an image") as image:
        header = header_of(image, content)
        whole = content.endswith(ENDS.get(str(image.format), ()))
        if not (whole and image.mode in PLAIN and not image.has_transparency_data and "16" not in raw_mode(image)):
            image.draft("RGB", (1, 1))
            to_rgb(image, header, name)
        return header


def read_values(content: bytes, name: str, *, colours: bool = False) -> np.ndarray:
    """Decode a mask, upright: [H, W] integers, a palette's indices, or red << 16 | green << 8 | blue for `colours`.

    Raises:
        Refused: the file can't be read as a mask, or has colours where values are asked for; the message names it.
    """
    with opened(content, name, "a mask") as image:
        raw = raw_mode(image)
        if image.format not in MASK_FORMATS or image.info.get("compression") == "jpeg":
            raise Refused(f"{name}: the mask is {image.format}, which may change values; save it as PNG.")
        if raw.endswith(";I"):
            raise Refused(f"{name}: the mask's file has its values inverted (white is 0); save it as PNG.")
        if image.mode in ("RGB", "RGBA") and "16" in raw:
            raise Refused(f"{name}: the mask has colours of 16 bits, which can't be read exactly; save it with 8.")
        image = upright(image, header_of(image, content))
        if colours:
            channels = np.asarray(opaque(image, name).convert("RGB")).astype(np.int32)
            return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
        if image.mode in ("P", "1"):
            return np.asarray(image).astype(np.uint8)
        if image.mode == "L":
            return np.asarray(image) // SPREAD.get(raw[:3], 1)
        if image.mode.startswith("I"):
            return sixteen_bits(image, name)
        return one_channel(opaque(image, name), name)


def one_channel(image: Image.Image, name: str) -> np.ndarray:
    """Values [H, W] of an opaque mask whose channels are all the same; raises Refused for colours."""
    if image.mode not in ("L", "RGB"):
        raise Refused(f"{name}: the mask has the mode {image.mode}; save it as an 8-bit PNG of class indices.")
    channels = np.asarray(image.convert("RGB"))
    coloured = (channels != channels[..., :1]).any(axis=-1)
    if coloured.any():
        red, green, blue = channels[coloured][0]
        raise Refused(
            f"{name}: the mask has colours, such as #{red:02x}{green:02x}{blue:02x}; it must have one value a pixel, "
            "or a data recipe must name each class's colour in masks.values."
        )
    return channels[..., 0]


@contextmanager
def opened(content: bytes, name: str, kind: str) -> Iterator[Image.Image]:
    """A file's image, of which no pixel is decoded yet; raises Refused by name for whatever goes wrong inside."""
    if not content:
        raise Refused(f"{name}: can't be read as {kind}: the file is empty.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise Refused(
                    f"{name}: can't be read as {kind}: it has {width}x{height} pixels; allowed: {MOST_PIXELS:,} in all."
                )
            frames = getattr(image, "n_frames", 1)
            # What follows in a phone's JPEG (MPO) are previews of its first picture, or views of the second lens.
            if frames > 1 and image.format != "MPO":
                raise Refused(f"{name}: can't be read as {kind}: it holds {frames} pictures; allowed: one.")
            yield image
    except UnidentifiedImageError as error:
        known = next((what for what, is_it in STRANGERS if is_it(content[:1024])), None)
        found = f"it is {known}" if known else f"its {len(content)} bytes begin with {content[:8]!r}"
        raise Refused(f"{name}: can't be read as {kind}: {found}; read are {', '.join(FORMATS)}.") from error
    except Refused:
        raise
    except MemoryError:
        raise
    # On a damaged file Pillow's decoders raise nearly anything: struct.error, KeyError, EOFError, SyntaxError.
    except Exception as error:
        raise Refused(f"{name}: can't be read as {kind} ({len(content)} bytes): {error}.") from error


def header_of(image: Image.Image, content: bytes) -> Header:
    """Header of an image that is just opened."""
    orientation = 1
    # Pillow decodes all of a PNG to look for EXIF behind its pixels.
    marks = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
    if image.format != "PNG" or any(mark in content for mark in marks):
        said = image.getexif().get(ExifTags.Base.Orientation, 1)
        orientation = said if said in range(1, 9) else 1
    # The size that Pillow gives of a TIFF is the upright picture's already.
    turned = orientation >= 5 and image.format != "TIFF"
    return Header(size=image.size[::-1] if turned else image.size, orientation=orientation)


def raw_mode(image: Image.Image) -> str:
    """How the file itself has the pixels, as Pillow's decoders name it, such as RGB;16B; empty where it isn't said."""
    arguments = image.tile[0].args if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def upright(image: Image.Image, header: Header) -> Image.Image:
    """Decode, and turn as EXIF says."""
    image.load()
    # Of a TIFF, which Pillow turns while it decodes it, no orientation is left.
    return image if header.orientation == 1 else ImageOps.exif_transpose(image)


def to_rgb(image: Image.Image, header: Header, name: str) -> Image.Image:
    """Decode to 8-bit RGB, upright; raises Refused for what 8 bits or three channels would lose."""
    deep = image.mode.startswith("I") or "16" in raw_mode(image)
    if image.mode == "F":
        raise Refused(f"{name}: the image has floating-point pixels, whose range isn't known; save it with 8 bits.")
    image = upright(image, header)
    if image.mode.startswith("I"):
        # The upper byte, as Pillow itself takes it of RGB with 16 bits: 65535 becomes 255.
        image = Image.fromarray((sixteen_bits(image, name) >> 8).astype(np.uint8))
    image = opaque(image, name)
    converted = image if image.mode == "RGB" else image.convert("RGB")
    if deep and 0 < max(high for _, high in converted.getextrema()) < LEAST_LEVELS:
        raise Refused(
            f"{name}: the image has 16 bits, but no value above {LEAST_LEVELS * 256 - 1}: scale it to 0 to 65535, or "
            "save it with 8 bits; as it is it would be black."
        )
    return converted


def sixteen_bits(image: Image.Image, name: str) -> np.ndarray:
    """Integer pixels as [H, W] uint16; raises Refused where 16 bits don't hold them."""
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise Refused(f"{name}: found pixels from {low} to {high}; allowed: 0 to 65535.")
    return values.astype(np.uint16)


def opaque(image: Image.Image, name: str) -> Image.Image:
    """The same without its transparency; raises Refused where a pixel is transparent: what shows there isn't known."""
    if not image.has_transparency_data:
        return image
    lowest = image.convert("RGBA").getextrema()[3][0]
    if lowest < 255:
        raise Refused(f"{name}: has transparent pixels (alpha {lowest}); save it without transparency.")
    return image.convert("L" if image.mode == "LA" else "RGB")

"""A file's bytes ..."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from proving_ground.config import Masks
from proving_ground.data.decode import check_picture, read_picture, read_values
from proving_ground.data.masks import MaskReader
from proving_ground.errors import Refused
from proving_ground.importers.coco import import_coco

ROAD = ("background", "road", "car")
# How each orientation of EXIF (1 to 8) is brought upright, in the words of its standard: where row 0 and column 0 lie.
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}


def saved(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    """The bytes of an image's file."""
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def random_pixels(shape: tuple[int, ...] = (20, 30, 3), high: int = 256, dtype: type = np.uint8) -> np.ndarray:
    """Seeded pixels [H, W, ...]."""
    return np.random.default_rng(5).integers(0, high, shape).astype(dtype)


def refusal(read: Callable[..., Any], *arguments: Any, **settings: Any) -> str:
    """What a file is refused with."""
    with pytest.raises(Refused) as refused:
        read(*arguments, **settings)
    return str(refused.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_are_shown_upright_whatever_the_camera_was_held(kind: str, orientation: int) -> None:
    # Blocks of 16 pixels in gray: JPEG keeps them, but for a level or two.
    pixels = np.kron(random_pixels((3, 4)), np.ones((16, 16), dtype=np.uint8))
    image = Image.fromarray(np.stack([pixels] * 3, axis=-1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "JPEG" else {}
    content = saved(image, kind, exif=exif, **lossless)
    picture, header = read_picture(content, "a")
    expected = UPRIGHT[orientation](np.asarray(image))
    assert np.abs(np.asarray(picture).astype(int) - expected).max() <= (2 if kind == "JPEG" else 0)
    assert header.size == picture.size == expected.shape[1::-1]
    assert check_picture(content, "a") == header
    # A smaller one is drawn from as much of the picture, in the same way round.
    small, same = read_picture(content, "a", near=(expected.shape[1] // 8, expected.shape[0] // 8))
    assert same == header
    small = small.resize((expected.shape[1] // 16, expected.shape[0] // 16), Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(int) - expected[8::16, 8::16]).max() <= 2
    if kind in ("PNG", "TIFF"):
        mask = saved(Image.fromarray(pixels), kind, exif=exif)
        assert np.array_equal(read_values(mask, "a"), UPRIGHT[orientation](pixels))


def test_of_a_turned_picture_say_so_where_a_size_is_that_before_it_was_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    header = check_picture(saved(Image.new("RGB", (160, 96)), "JPEG", exif=exif), "a")
    assert header.differs((96, 160), "the entry") is None
    assert header.differs((160, 96), "the entry") == (
        "has 96x160 pixels; the entry says 160x96, its size before the EXIF orientation (6) turns it: sizes and labels "
        "must be those of the upright picture, as viewers show it"
    )
    assert header.differs((10, 96), "the entry") == "has 96x160 pixels; the entry says 10x96"


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_of_an_importers_image_are_written_upright_with_boxes_that_fit(tmp_path: Path, orientation: int) -> None:
    # What is red upright lies elsewhere in the file.
    upright = np.zeros((48, 96, 3) if orientation < 5 else (96, 48, 3), dtype=np.uint8)
    upright[:16, :32] = 255, 0, 0
    stored = {1: upright, 3: upright[::-1, ::-1], 6: upright.swapaxes(0, 1)[::-1]}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    height, width = upright.shape[:2]
    entry = {"id": 1, "file_name": "a.jpg", "width": width, "height": height}
    split = {"images": str(tmp_path), "annotations": str(tmp_path / "a.json")}
    spec = {
        "width": width,
        "height": height,
        "splits": {"train": split, "val": split, "test": split},
        "slices": [],
        "categories": {"detection": ["car"], "segmentation": []},
    }
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 32, 16]}
    document = {"images": [entry], "annotations": [annotation], "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    import_coco(spec, tmp_path / "out")
    line = json.loads((tmp_path / "out/golden_train.manifest").read_text())
    pixels = np.asarray(Image.open(tmp_path / "out" / line["source-ref"])).astype(int)
    assert pixels.shape[:2] == (height, width)
    x1, y1, x2, y2 = map(round, line["detection"][0]["box"])
    # Near its edges JPEG's colours run.
    assert np.abs(pixels[y1 : y2 - 4, x1 : x2 - 4] - (255, 0, 0)).max() < 30
    assert np.abs(pixels - upright).mean() < 4
    if orientation >= 5:
        entry |= {"width": height, "height": width}
        (tmp_path / "a.json").write_text(json.dumps(document))
        assert "a.jpg has 48x96 pixels; the entry says 96x48, its size before the EXIF orientation (6) turns it" in (
            refusal(import_coco, spec, tmp_path / "again")
        )


def test_of_a_picture_with_an_exif_that_makes_no_sense_are_read_as_they_lie() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    pixels = random_pixels()
    assert np.array_equal(np.asarray(read_picture(saved(Image.fromarray(pixels), exif=exif), "a")[0]), pixels)


def test_with_16_bits_keep_their_content_in_8() -> None:
    pixels = random_pixels((20, 30), 65536, np.uint16)
    pixels[0, :2] = 0, 65535
    for content in (saved(Image.fromarray(pixels)), saved(Image.fromarray(pixels), "TIFF")):
        picture = np.asarray(read_picture(content, "a")[0])
        assert np.array_equal(picture, np.stack([pixels >> 8] * 3, axis=-1))
        assert (picture[0, 0, 0], picture[0, 1, 0]) == (0, 255)
    wide = Image.fromarray(pixels.astype(np.int32))
    assert np.array_equal(np.asarray(read_picture(saved(wide, "TIFF"), "a")[0])[..., 0], pixels >> 8)
    colours = random_pixels((20, 30, 3), 65536, np.uint16)
    assert np.array_equal(np.asarray(read_picture(sixteen_bit_png(colours), "a")[0]), colours >> 8)


def sixteen_bit_png(pixels: np.ndarray) -> bytes:
    """A PNG of [H, W, 3] uint16, which Pillow reads but doesn't write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("read", [read_picture, check_picture])
def test_with_16_bits_of_which_12_are_used_are_refused(read: Callable[..., Any]) -> None:
    gray = saved(Image.fromarray(random_pixels((20, 30), 4096, np.uint16)))
    for content in (gray, sixteen_bit_png(random_pixels((20, 30, 3), 4096, np.uint16))):
        assert refusal(read, content, "a.png").startswith("a.png: the image has 16 bits, but no value above 4095")
    read(saved(Image.fromarray(np.zeros((20, 30), dtype=np.uint16))), "black.png")


def test_in_other_modes_are_converted_as_viewers_show_them() -> None:
    pixels = random_pixels()
    image = Image.fromarray(pixels)
    gray = np.asarray(image.convert("L"))
    indexed = image.quantize(16)
    opaque = image.convert("RGBA")
    pairs = [
        (saved(image.convert("L")), np.stack([gray] * 3, axis=-1)),
        (saved(opaque), pixels),
        (saved(image.convert("LA")), np.stack([gray] * 3, axis=-1)),
        (saved(indexed), np.asarray(indexed.convert("RGB"))),
        (saved(image.convert("1")), np.asarray(image.convert("1").convert("RGB"))),
        (saved(image.convert("CMYK"), "TIFF"), pixels),
        (saved(image, "BMP"), pixels),
        (saved(image, "PPM"), pixels),
    ]
    for content, expected in pairs:
        assert np.array_equal(np.asarray(read_picture(content, "a")[0]), expected)
        assert check_picture(content, "a").size == (30, 20)


def transparent(mode: str) -> bytes:
    """A PNG with one pixel that is seen through."""
    if mode in ("P", "RGB", "L"):
        image = Image.fromarray(random_pixels()).quantize(16) if mode == "P" else Image.new(mode, (30, 20))
        return saved(image, transparency={"P": image.getpixel((0, 0)), "RGB": (0, 0, 0), "L": 0}[mode])
    image = Image.fromarray(random_pixels()).convert(mode)
    image.putpixel((3, 3), (*image.getpixel((3, 3))[:-1], 128))
    return saved(image)


def torn(kind: str) -> bytes:
    """Half of an image's file."""
    content = saved(Image.fromarray(random_pixels((64, 96, 3))), kind)
    return content[: len(content) // 2]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "can't be read as an image: the file is empty"),
    "no image": (
        lambda: b"no image",
        "can't be read as an image: its 8 bytes begin with b'no image'; read are JPEG, PNG",
    ),
    "SVG": (lambda: b'<?xml version="1.0"?><svg width="4"/>', "it is SVG, which has no pixels"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC, which can't be read"),
    "Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
    "EPS": (lambda: saved(Image.new("RGB", (4, 4)), "EPS"), "its "),
    "a torn JPEG": (lambda: torn("JPEG"), "image file is truncated"),
    "a torn PNG": (lambda: torn("PNG"), "can't be read as an image ("),
    "a torn TIFF": (lambda: torn("TIFF"), "can't be read as an image ("),
    "a torn WebP": (lambda: torn("WEBP"), "can't be read as an image"),
    "floats": (lambda: saved(Image.new("F", (4, 4)), "TIFF"), "the image has floating-point pixels"),
    "32 bits": (
        lambda: saved(Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)), "TIFF"),
        "found pixels from -1 to 70000; allowed: 0 to 65535",
    ),
    **{
        f"transparent {mode}": (lambda mode=mode: transparent(mode), "has transparent pixels")
        for mode in ("RGBA", "LA", "P")
    },
    "transparent RGB": (lambda: transparent("RGB"), "has transparent pixels (alpha 0)"),
    "a GIF that moves": (
        lambda: saved(
            Image.new("L", (4, 4)),
            "GIF",
            save_all=True,
            append_images=[Image.new("L", (4, 4), color) for color in (9, 99)],
        ),
        "it holds 3 pictures; allowed: one",
    ),
    **{
        f"two pictures in a {kind}": (
            lambda kind=kind: saved(
                Image.new("RGB", (4, 4)), kind, save_all=True, append_images=[Image.new("RGB", (4, 4), "red")]
            ),
            "it holds 2 pictures; allowed: one",
        )
        for kind in ("TIFF", "PNG", "WEBP")
    },
    "a bomb": (
        lambda: saved(Image.new("1", (20000, 10000))),
        "it has 20000x10000 pixels; allowed: 178,956,970 in all",
    ),
}


@pytest.mark.parametrize("read", [read_picture, check_picture])
@pytest.mark.parametrize("kind", BAD)
def test_that_are_no_picture_are_refused_by_name(read: Callable[..., Any], kind: str) -> None:
    make, message = BAD[kind]
    said = refusal(read, make(), "a.png")
    assert said.startswith("a.png: ")
    assert message in said


def test_of_a_phones_jpeg_are_its_first_picture() -> None:
    first = Image.new("RGB", (32, 16), "red")
    content = saved(first, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 16), "blue")])
    assert read_picture(content, "a")[0].getpixel((3, 3))[0] > 250


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_of_a_mask_are_the_classes_that_were_saved_in_every_mode(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 255))
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    indices = rng.integers(0, classes, (height, width)).astype(np.uint8)
    indices[rng.random((height, width)) < 0.1] = 255
    indexed = Image.fromarray(indices).convert("P")
    # Colours as label tools give them: nothing follows from them.
    indexed.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
    forms = [
        saved(indexed),
        saved(Image.fromarray(indices)),
        saved(Image.fromarray(indices), "TIFF"),
        saved(Image.fromarray(indices.astype(np.uint16))),
        saved(Image.fromarray(np.stack([indices] * 3, axis=-1))),
        saved(Image.fromarray(indices).convert("LA")),
    ]
    reader = MaskReader([f"class {index}" for index in range(classes)], None)
    for content in forms:
        assert np.array_equal(reader.read(content, "a"), indices)
    if classes == 2:
        binary = indices == 1
        assert np.array_equal(reader.read(saved(Image.fromarray(binary)), "a"), binary)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("mode", ["P", "L"])
def test_of_a_mask_with_few_bits_are_its_values(mode: str, bits: int) -> None:
    indices = random_pixels((8, 16), 1 << bits)
    image = Image.fromarray(indices)
    if mode == "P":
        image = image.convert("P")
        image.putpalette(random_pixels((768,)).tobytes())
        content = saved(image, bits=bits)
    else:
        content = gray_png(indices, bits)
    assert np.array_equal(read_values(content, "a"), indices)


def gray_png(values: np.ndarray, bits: int) -> bytes:
    """A gray PNG of few bits a pixel: an indexed one's chunks, without the palette."""
    image = Image.fromarray(values).convert("P")
    content = saved(image, bits=bits)
    begin = content.index(b"IHDR")
    header = bytearray(content[begin : begin + 17])
    header[13] = 0
    start = content.index(b"IDAT") - 4
    return content[:begin] + bytes(header) + struct.pack(">I", zlib.crc32(header)) + content[start:]


def mask_of(*values: int, dtype: type = np.uint8) -> bytes:
    """A mask with some values in turn."""
    return saved(Image.fromarray(np.resize(np.array(values, dtype=dtype), (4, 6))))


def test_of_a_binary_mask_are_the_classes_that_the_recipe_names() -> None:
    reader = MaskReader(["background", "road"], Masks(values={"background": 0, "road": 255}, ignore=(128,)))
    assert np.unique(reader.read(mask_of(0, 255, 128), "a")).tolist() == [0, 1, 255]
    assert (
        "the mask has the value 1 in 8 pixels, but the 2 classes have 0 (background), 255 (road); 128 is ignored"
        in (refusal(reader.read, mask_of(0, 1, 255), "a"))
    )


def test_of_a_mask_with_a_void_leave_it_out() -> None:
    reader = MaskReader(ROAD, Masks(values=None, ignore=(11, 40000)))
    mask = reader.read(mask_of(0, 1, 2, 11, 255, 40000, dtype=np.uint16), "a")
    assert mask.ravel()[:6].tolist() == [0, 1, 2, 255, 255, 255]


def test_of_a_coloured_mask_are_the_classes_of_the_recipes_colours() -> None:
    masks = Masks(values={"background": "#000000", "road": "#804080", "car": "#00008E"}, ignore=("#ffffff",))
    reader = MaskReader(ROAD, masks)
    colours = np.array([[[0, 0, 0], [128, 64, 128]], [[0, 0, 142], [255, 255, 255]]], dtype=np.uint8)
    image = Image.fromarray(colours)
    for content in (saved(image), saved(image.convert("RGBA")), saved(image.quantize(4))):
        assert reader.read(content, "a").tolist() == [[0, 1], [2, 255]]
    assert "the value #7f4080 in 1 pixels" in refusal(
        reader.read, saved(Image.fromarray(np.array([[[127, 64, 128]]], dtype=np.uint8))), "a"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mask_of(0, 7), "the mask has the value 7 in 12 pixels, but the 3 classes have 0 (background), 1 (road), "
         "2 (car); 255 is ignored, name other values that are to be ignored in masks.ignore of the data recipe"),
        (mask_of(*range(24)), "the mask has the values 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 11 more in 21 pixels"),
        (mask_of(0, 256, dtype=np.uint16), "the mask has the value 256 in 12 pixels"),
        (saved(Image.fromarray(random_pixels())), "the mask has colours, such as #"),
        (saved(Image.fromarray(random_pixels()), "JPEG"), "the mask is JPEG, which may change values; save it as PNG"),
        (saved(Image.new("L", (4, 4)), "WEBP", lossless=True), "the mask is WEBP"),
        (saved(Image.new("F", (4, 4)), "TIFF"), "the mask has the mode F"),
        (saved(Image.new("LA", (4, 4), (1, 0))), "has transparent pixels (alpha 0)"),
        (sixteen_bit_png(random_pixels((4, 4, 3), 65536, np.uint16)), "the mask has colours of 16 bits"),
        (b"no mask", "can't be read as a mask"),
    ],
)  # fmt: skip
def test_of_a_mask_that_means_nothing_are_refused(content: bytes, message: str) -> None:
    said = refusal(MaskReader(ROAD, None).read, content, "masks/a.png")
    assert said.startswith("masks/a.png: ")
    assert message in said


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            Masks(values={"background": 0, "rode": 1}, ignore=()),
            "masks.values: found values of background, rode; it must",
        ),
        (Masks(values={"background": 0, "road": 0, "car": 1}, ignore=()), "masks: the value 0 has two meanings"),
        (Masks(values=None, ignore=(2,)), "masks: the value 2 has two meanings"),
        (
            Masks(values=None, ignore=("#ffffff",)),
            "masks: found 0, 1, 2, #ffffff; they must be all numbers or all colours",
        ),
    ],
)
def test_of_masks_have_one_meaning_each(masks: Masks, message: str) -> None:
    assert message in refusal(MaskReader, ROAD, masks)

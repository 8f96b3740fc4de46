"""BDD100K's own JSON and images become a dataset: frames resized, boxes scaled, attributes kept as they are.

Two forms of the label file are read: boxes in `labels` with the frame's `split`, and the official Scalabel files, one
for each split, where `labels` may be null and a label without `box2d` (a lane, a drivable area) is no box.
"""

from pathlib import Path
from typing import Any

from proving_ground.data.images import fit_box, write_resized
from proving_ground.data.manifest import SPLITS, write_dataset
from proving_ground.errors import Refused
from proving_ground.files import read_json


def import_bdd100k(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: the label file, a frame in it or its image can't be taken; the message names file and frame.
    """
    labels = Path(spec["labels"])
    frames = read_json(labels)
    if not isinstance(frames, list) or not all(isinstance(frame, dict) and "name" in frame for frame in frames):
        raise Refused(f"{labels}: not BDD100K's labels: it must be a list of frames, each with a name.")
    chosen = {split: choose_frames(frames, split, spec["splits"][split], labels) for split in SPLITS}

    def take(split: str, index: int, folder: Path) -> dict[str, Any]:
        return take_frame(spec, chosen[split][index], f"{split}-{index:06d}", folder)

    write_dataset(out, spec, {split: len(chosen[split]) for split in SPLITS}, take)


def choose_frames(
    frames: list[dict[str, Any]], split: str, wanted: dict[str, Any], labels: Path
) -> list[dict[str, Any]]:
    """Frames of one of our splits: some of an official split, in the file's order, without the first `skip`."""
    of_split = [frame for frame in frames if frame.get("split", wanted["split"]) == wanted["split"]]
    skip = wanted.get("skip", 0)
    chosen = of_split[skip : skip + wanted.get("frames", len(of_split))]
    if not chosen:
        raise Refused(
            f"{labels}: splits.{split} asks for frames of {wanted['split']!r} after the first {skip}, "
            f"but there are only {len(of_split)} of them."
        )
    return chosen


def take_frame(spec: dict[str, Any], frame: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """Resize one frame's image into the folder and return its line of the manifest."""
    size = (spec["width"], spec["height"])
    source = find_image(Path(spec["images"]), frame)
    own = write_resized(source, folder / f"images/{name}.jpg", size).size
    scale = (size[0] / own[0], size[1] / own[1])
    known = spec["categories"]["detection"]
    boxes = [scale_box(label, frame["name"], scale, size) for label in frame.get("labels") or []]
    return {
        "source-ref": f"images/{name}.jpg",
        "width": size[0],
        "height": size[1],
        "attributes": {key: value for key, value in (frame.get("attributes") or {}).items() if value is not None},
        # A category that the recipe leaves out is left out here: the recipe says what the model is to find.
        "detection": [box for box in boxes if box is not None and box["category"] in known],
    }


def find_image(images: Path, frame: dict[str, Any]) -> Path:
    """Path of a frame's image: in a folder of its split, as BDD100K has them, or in one folder."""
    places = [images / frame["split"] / frame["name"]] if "split" in frame else []
    places.append(images / frame["name"])
    for place in places:
        if place.is_file():
            return place
    raise Refused(f"{frame['name']}: its image isn't at {' or '.join(map(str, places))}.")


def scale_box(
    label: dict[str, Any], frame: str, scale: tuple[float, float], size: tuple[int, int]
) -> dict[str, Any] | None:
    """A label as the manifest has it, clipped to the image; None where it is no box or too thin to be seen."""
    box = label.get("box2d")
    if box is None:
        return None
    try:
        sides = [float(box[side]) for side in ("x1", "y1", "x2", "y2")]
        category = str(label["category"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"frame {frame}: a label must be a box with category, x1, y1, x2 and y2, but found {label}."
        ) from error
    clipped = fit_box(sides, scale, size)
    if clipped is None:
        return None
    crowd = bool((label.get("attributes") or {}).get("crowd", False))
    return {"category": category, "box": clipped, "crowd": crowd}

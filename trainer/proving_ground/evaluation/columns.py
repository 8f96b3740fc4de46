"""A file of NumPy arrays becomes columns. Nothing is inflated before it is known that none is larger than it says."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

# Statistics of a million frames with a hundred detections each have less.
MOST_BYTES = 8 << 30


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names.

    Raises ValueError for more than MOST_BYTES, for a name that is there twice, and for an array that isn't as large as
    its member; OSError, zipfile.BadZipFile and the like for what is no such file.
    """
    with zipfile.ZipFile(path) as stored:
        members = stored.infolist()
        declared = sum(member.file_size for member in members)
        if declared > MOST_BYTES:
            raise ValueError(f"it unpacks to {declared} bytes; at most {MOST_BYTES} are read")
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(set(names)) < len(names):
            raise ValueError("it has two columns of one name")
        columns = {}
        for name, member in zip(names, members, strict=True):
            with stored.open(member) as part:
                check_size(name, part, member.file_size)
            with stored.open(member) as part:
                columns[name] = np.lib.format.read_array(part, allow_pickle=False)
        return columns


def check_size(name: str, part: IO[bytes], size: int) -> None:
    """Refuse an array whose header asks for other memory than its member holds: that is taken before a byte is read."""
    version = np.lib.format.read_magic(part)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"{name} is an array of version {version}")
    shape, _, dtype = read(part)
    asked = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or asked != size - part.tell():
        raise ValueError(f"{name} asks for {asked} bytes of {dtype}, and its member has {size - part.tell()}")

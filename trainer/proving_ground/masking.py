"""Secrets of a job become stars in what it writes: its log, and the reason of its failure.

Standard library only: the launcher uses it too.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO

# Names, with commas between them, of the variables that are secrets.
VARIABLE = "PROVING_GROUND_SECRETS"
MASK = b"***"
CHUNK = 1 << 16


def secrets_of(environment: Mapping[str, str] = os.environ) -> list[bytes]:
    """Values of the variables that are secrets, the longest first, since one may hold another."""
    values = {os.fsencode(environment.get(name, "")) for name in environment.get(VARIABLE, "").split(",")}
    return sorted(values - {b""}, key=len, reverse=True)


def mask(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A text with each secret masked."""
    return mask_bytes(os.fsencode(text), secrets_of(environment)).decode(errors="replace")


def mask_bytes(content: bytes, secrets: Sequence[bytes]) -> bytes:
    """Bytes with each secret masked."""
    for secret in secrets:
        content = content.replace(secret, MASK)
    return content


def copy_masked(source: int, target: BinaryIO, secrets: Sequence[bytes]) -> None:
    """Copy a descriptor to its end with each secret masked, also one that comes in two pieces."""
    kept = b""
    while chunk := os.read(source, CHUNK):
        kept = mask_bytes(kept + chunk, secrets)
        ready = len(kept) - begun(kept, secrets)
        write(target, kept[:ready])
        kept = kept[ready:]
    write(target, kept)


def begun(content: bytes, secrets: Sequence[bytes]) -> int:
    """How many of the last bytes may be the beginning of a secret."""
    longest = max(map(len, secrets), default=1)
    sizes = range(min(len(content), longest - 1), 0, -1)
    return next((size for size in sizes if any(secret.startswith(content[-size:]) for secret in secrets)), 0)


def write(target: BinaryIO, content: bytes) -> None:
    """Write at once. On a full disk the log has a gap: a job that waits for its reader would never end."""
    with contextlib.suppress(OSError):
        target.write(content)
        target.flush()

"""A function of numbers becomes machine code, kept beside its source where that can be written."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], error_model: str = "python") -> Callable[..., Any]:
    """Compile a function at its first call; later processes find it in numba's cache.

    In a folder that is read-only, for a user without a home, numba has no place for a cache and refuses: there each
    process compiles for itself. A place that everybody can write is none: what is in a cache is run.
    """
    try:
        return njit(cache=True, nogil=True, error_model=error_model)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return njit(nogil=True, error_model=error_model)(function)

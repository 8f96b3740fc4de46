"""torchrun's environment becomes the job's store, where ranks wait for each other and learn who is missing."""

import os
from datetime import timedelta

import torch.distributed as dist

from proving_ground.errors import LostWorker

# Where what is waited for lies in the job's store.
PREFIX = "proving_ground/wait"


def open_store(seconds: float) -> dist.Store:
    """The job's key-value store, where torchrun's environment says; for wait_for_all and for the process group.

    Raises:
        LostWorker: the process that keeps it can't be reached within so many seconds.
    """
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=seconds)))
    except (dist.DistError, TimeoutError) as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise LostWorker(f"The job's store at {place} can't be reached within {seconds:g} s.") from error
    return store


def wait_for_all(store: dist.Store, rank: int, size: int, seconds: float, what: str) -> None:
    """Wait until every rank is at the same place, with any backend; as often as wanted, also at places of one name.

    A rank that comes counts itself; the last to come opens a door that the others wait at. So all is well after four
    messages of a rank to the store, and ranks are looked up one by one only when some are missing.

    Raises:
        LostWorker: ranks are missing after so many seconds, named in the message; or the store is gone.
    """
    if size == 1:
        return
    try:
        # How often this rank was here: the count is in the store, since a process may be young.
        place = f"{PREFIX}/{what}/{store.add(f'{PREFIX}/{what}/{rank}', 1)}"
        store.set(f"{place}/{rank}", "")
        if store.add(f"{place}/arrived", 1) == size:
            store.set(f"{place}/all", "")
        try:
            store.wait([f"{place}/all"], timedelta(seconds=seconds))
        except dist.DistStoreError:
            missing = [str(other) for other in range(size) if not store.check([f"{place}/{other}"])]
            if not missing:
                return
            names = f"rank {missing[0]}" if len(missing) == 1 else f"ranks {', '.join(missing)}"
            raise LostWorker(f"{names} of {size} did not arrive within {seconds:g} s at {what}.") from None
    except dist.DistNetworkError as error:
        raise LostWorker(f"rank {rank} lost the job's store at {what}: the process that keeps it is gone.") from error

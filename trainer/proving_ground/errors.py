"""What can go wrong becomes the exit code of a rank and the kind in failure.json."""

import signal
import threading


class Refused(ValueError):
    """A document or a dataset that a person has to mend; the message says what and where."""

    exit_code = 65
    kind = "invalid_data"


class NonFiniteLoss(RuntimeError):
    """The loss of a step is not a number on some rank, or has exploded; the message names step and frames."""

    exit_code = 70
    kind = "non_finite"


class Stopped(RuntimeError):
    """A signal asked for the end, and a checkpoint is saved."""

    exit_code = 75
    kind = "stopped"


class LostWorker(RuntimeError):
    """A process that this one needs is gone: a loading worker, or another rank; starting again goes on."""

    exit_code = 71
    kind = "lost_process"


def lost_loader(error: BaseException, *, receiving: bool = False) -> LostWorker | None:
    """What is raised when a process that loads frames has died, in our words; None for any other error.

    torch says it from a signal's handler: wherever this process happens to be. Once it has been heard the handler is
    taken away: it would say it again at the end of every other child, in the midst of what is done about it. Where a
    batch is just `receiving` from that process, its connection may break before the signal comes; an error of the
    frames themselves begins with "Caught" there.
    """
    said = isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
    broken = receiving and isinstance(error, (ConnectionError, EOFError)) and not str(error).startswith("Caught ")
    if not said and not broken:
        return None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    what = (str(error) or type(error).__name__).splitlines()[0]
    return LostWorker(
        "A process that loads frames was lost (killed, or out of memory; is /dev/shm large enough?): "
        f"{what}. Start it again: training goes on from the last checkpoint."
    )


class StorageFailure(RuntimeError):
    """A checkpoint or an artefact can't be written: a full disk, a folder without permission."""

    exit_code = 74
    kind = "storage"

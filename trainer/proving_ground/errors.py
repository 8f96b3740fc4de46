"""What can go wrong becomes the exit code of a rank and the kind in failure.json."""


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


class StorageFailure(RuntimeError):
    """A checkpoint or an artefact can't be written: a full disk, a folder without permission."""

    exit_code = 74
    kind = "storage"

"""The command line of the job: train, evaluate, rescore, describe, import, check, shards.

Parses, calls, and exits with a code that says who can act:
0 done, 65 data or a document is refused, 70 a loss is not finite, 71 a process was lost, 74 something could not be
written, 75 stopped with a checkpoint saved, 1 a bug.
"""

import argparse
import contextlib
import errno
import importlib
import json
import sys
import traceback
from pathlib import Path

from proving_ground.errors import LostWorker, NonFiniteLoss, Refused, Stopped, StorageFailure, lost_loader
from proving_ground.files import write_json
from proving_ground.masking import mask

# An importer's function, and its module, loaded where it is used.
IMPORTERS = {
    "scenes": ("proving_ground.importers.scenes", "import_scenes"),
    "bdd100k": ("proving_ground.importers.bdd100k", "import_bdd100k"),
    "coco": ("proving_ground.importers.coco", "import_coco"),
    "tusimple": ("proving_ground.importers.tusimple", "import_tusimple"),
    "index": ("proving_ground.importers.index", "import_index"),
    "nuscenes": ("proving_ground.importers.nuscenes", "import_nuscenes"),
    "cityscapes": ("proving_ground.importers.cityscapes", "import_cityscapes"),
    "culane": ("proving_ground.importers.culane", "import_culane"),
    "trajectories": ("proving_ground.importers.trajectories", "import_trajectories"),
}

# What a person mends by making room or giving rights.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="proving_ground", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "evaluate"):
        command = commands.add_parser(name)
        command.add_argument("--document", type=Path, required=True, help="run.json")
        command.add_argument("--conditions", type=Path, required=True, help="conditions.json")
        command.add_argument("--data", type=Path, required=True, help="the dataset's folder")
        command.add_argument("--work", type=Path, required=True, help="the job's folder, for checkpoints and progress")
        command.add_argument(
            "--output", type=Path, required=True, help="folder to write the artefacts to, manifest.json last"
        )
        if name == "train":
            command.add_argument("--weights", type=Path, help="folder of the model that training starts from")
            command.add_argument("--replay", type=Path, help="folder of the older data to replay")
            command.add_argument("--fast", type=Path, help="folder that every checkpoint is also copied to")
            command.add_argument("--durable", type=Path, help="folder that checkpoints are copied to from time to time")
        else:
            command.add_argument("--candidate", type=Path, required=True, help="folder of the model to judge")
            for model in ("candidate", "production"):
                command.add_argument(
                    f"--measured-{model}",
                    type=Path,
                    help="folder of an earlier evaluation of it on these frames",
                )
        command.add_argument("--production", type=Path, help="folder of the production model")
    command = commands.add_parser("rescore")
    command.add_argument("evaluation", type=Path, help="folder of an evaluation")
    command.add_argument("--slices", type=Path, required=True, help="slices.yaml")
    command.add_argument(
        "--against", type=Path, help="folder of another evaluation, whose candidate is used as production"
    )
    command = commands.add_parser("describe")
    command.add_argument("--document", type=Path, required=True, help="run.json")
    command.add_argument("--weights", type=Path, required=True, help="folder of the model that training starts from")
    command = commands.add_parser("import")
    command.add_argument("importer", choices=IMPORTERS)
    command.add_argument(
        "--spec", type=argparse.FileType(), required=True, help="the importer's settings as JSON; - for stdin"
    )
    command.add_argument("--out", type=Path, required=True, help="folder to make the dataset in (all of it or nothing)")
    command = commands.add_parser("check")
    command.add_argument("dataset", type=Path, help="the dataset's folder")
    command.add_argument(
        "--spec",
        type=argparse.FileType(),
        required=True,
        help="the data recipe's categories, and its masks if it has any, as JSON; - for stdin",
    )
    command = commands.add_parser("shards")
    command.add_argument("dataset", type=Path, help="the dataset's folder; with --verify, the shards' folder")
    command.add_argument("out", type=Path, nargs="?", help="folder to make the shards in (all of them or nothing)")
    command.add_argument("--megabytes", type=int, default=256, help="largest size of a shard, in megabytes")
    command.add_argument("--slices", default="slices.yaml", help="the dataset's file of slices")
    command.add_argument("--verify", action="store_true", help="only check every shard's digest")
    arguments = parser.parse_args()
    if arguments.command == "shards" and arguments.verify == (arguments.out is not None):
        command.error("give a dataset and an output folder, or --verify and the shards' folder")
    return arguments


def import_dataset(arguments: argparse.Namespace) -> None:
    """Make a dataset."""
    spec = json.load(arguments.spec)
    module, function = IMPORTERS[arguments.importer]
    getattr(importlib.import_module(module), function)(spec, arguments.out)


def check_dataset(arguments: argparse.Namespace) -> None:
    """Check every manifest, image and mask of a dataset, and say how many there are."""
    from proving_ground.data.dataset_check import check_dataset

    print(check_dataset(arguments.dataset, json.load(arguments.spec)))


def make_shards(arguments: argparse.Namespace) -> None:
    """Make shards of a dataset, or check those that are there, and say what was done."""
    from proving_ground.data.shards import pack, verify_shards

    if arguments.verify:
        print(f"{arguments.dataset}: {verify_shards(arguments.dataset)} shards, all as they were packed.")
    else:
        print(pack(arguments.dataset, arguments.out, arguments.megabytes, arguments.slices))


def print_scores(arguments: argparse.Namespace) -> None:
    """Print the scores of an evaluation on other slices as JSON."""
    from proving_ground.rescore import rescore

    print(json.dumps(rescore(arguments.evaluation, arguments.slices, arguments.against)))


def describe_start(arguments: argparse.Namespace) -> None:
    """Print what training would take over from the weights that it starts from, as JSON."""
    from proving_ground.config import read_run
    from proving_ground.warm_start import describe

    print(describe(read_run(arguments.document, "train"), arguments.weights))


def run_job(arguments: argparse.Namespace) -> None:
    """Do this rank's part of a training or an evaluation."""
    # Imported here: importing a dataset needs no torch, which takes seconds to load.
    from proving_ground.config import read_conditions, read_run
    from proving_ground.distributed import join_group
    from proving_ground.job import Job
    from proving_ground.progress import Progress

    run, conditions = read_run(arguments.document, arguments.command), read_conditions(arguments.conditions)
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with join_group(conditions.network) as group:
        if group.size != run.processes:
            raise Refused(f"the run is for {run.processes} processes, but this job has {group.size}")
        progress = Progress(arguments.work, group.is_first)
        job = Job(run=run, conditions=conditions, group=group, progress=progress)
        if arguments.command == "train":
            from proving_ground.attempt import Places
            from proving_ground.train import train_and_export

            names = ("data", "work", "weights", "replay", "production", "fast", "durable")
            places = Places(**{name: getattr(arguments, name) for name in names})
            train_and_export(job, places, arguments.output)
        else:
            from proving_ground.evaluate import Places, evaluate

            models = {"candidate": arguments.candidate, "production": arguments.production}
            earlier = {"candidate": arguments.measured_candidate, "production": arguments.measured_production}
            places = Places(
                data=arguments.data,
                output=arguments.output,
                models={name: folder for name, folder in models.items() if folder is not None},
                earlier={name: folder for name, folder in earlier.items() if folder is not None},
            )
            evaluate(job, places)


def main() -> int:
    """Run the command; what went wrong is written where the supervisor looks, and told by the exit code."""
    arguments = parse_arguments()
    failure: dict[str, str]
    try:
        if arguments.command == "import":
            import_dataset(arguments)
        elif arguments.command == "check":
            check_dataset(arguments)
        elif arguments.command == "shards":
            make_shards(arguments)
        elif arguments.command == "rescore":
            print_scores(arguments)
        elif arguments.command == "describe":
            describe_start(arguments)
        else:
            run_job(arguments)
        return 0
    except ValueError as error:
        if not isinstance(error, Refused):
            traceback.print_exc()
        failure, code = {"kind": Refused.kind, "message": str(error)}, Refused.exit_code
    except (NonFiniteLoss, LostWorker, StorageFailure, Stopped) as error:
        failure, code = {"kind": error.kind, "message": str(error)}, error.exit_code
    except OSError as error:
        if error.errno not in UNWRITABLE:
            traceback.print_exc()
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}can't be read or written: {error.strerror or error}"
        failure, code = {"kind": StorageFailure.kind, "message": message}, StorageFailure.exit_code
    except Exception as error:
        if lost := lost_loader(error):
            failure, code = {"kind": lost.kind, "message": str(lost)}, lost.exit_code
        else:
            traceback.print_exc()
            failure, code = {"kind": "bug", "message": f"A bug in the trainer: {type(error).__name__}: {error}"}, 1
    failure["message"] = mask(failure["message"])
    print(failure["message"], file=sys.stderr, flush=True)
    if "work" in arguments:
        # A disk that is full has no room for it either; the log has the sentence.
        with contextlib.suppress(OSError):
            write_failure(arguments.work / "failure.json", failure)
    return code


def write_failure(file: Path, failure: dict[str, str]) -> None:
    """Leave the failure for the supervisor; that another rank is gone is no news beside that rank's own reason."""
    if failure["kind"] != LostWorker.kind or not file.exists():
        write_json(file, failure)


if __name__ == "__main__":
    sys.exit(main())

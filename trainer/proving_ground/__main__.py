"""The command line of the job: train, evaluate, import. Parses, calls, and exits with a code that says who can act.

0 done, 65 data or a document is refused, 70 a loss is not finite, 75 stopped with a checkpoint saved, 1 a bug.
"""

import argparse
import json
import sys
import traceback
from pathlib import Path

from proving_ground.errors import NonFiniteLoss, Refused, Stopped
from proving_ground.files import write_json


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="proving_ground", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "evaluate"):
        command = commands.add_parser(name)
        command.add_argument("--document", type=Path, required=True, help="run.json")
        command.add_argument("--data", type=Path, required=True, help="the dataset's folder")
        command.add_argument("--work", type=Path, required=True, help="the job's folder: checkpoints, progress")
        command.add_argument("--output", type=Path, required=True, help="where the artefacts go, manifest.json last")
        if name == "train":
            command.add_argument("--weights", type=Path, help="folder of the model that training starts from")
        else:
            command.add_argument("--candidate", type=Path, required=True, help="folder of the model to judge")
            command.add_argument("--production", type=Path, help="folder of the model to judge it against")
    command = commands.add_parser("import")
    command.add_argument("importer", choices=("scenes", "bdd100k"))
    command.add_argument(
        "--spec", type=argparse.FileType(), required=True, help="the importer's settings as JSON; - for stdin"
    )
    command.add_argument("--out", type=Path, required=True, help="the dataset's folder, whole or absent")
    return parser.parse_args()


def import_dataset(arguments: argparse.Namespace) -> None:
    """Make a dataset."""
    spec = json.load(arguments.spec)
    if arguments.importer == "scenes":
        from proving_ground.data.scenes import import_scenes

        import_scenes(spec, arguments.out)
    else:
        from proving_ground.data.bdd100k import import_bdd100k

        import_bdd100k(spec, arguments.out)


def run_job(arguments: argparse.Namespace) -> None:
    """Do this rank's part of a training or an evaluation."""
    # Imported here: importing a dataset needs no torch, which takes seconds to load.
    from proving_ground.config import read_run
    from proving_ground.distributed import join_group
    from proving_ground.progress import Progress

    run = read_run(arguments.document, arguments.command)
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with join_group() as group:
        if group.size != run.processes:
            raise Refused(f"the run is for {run.processes} processes, and this job has {group.size}")
        progress = Progress(arguments.work, group.is_first)
        if arguments.command == "train":
            from proving_ground.train import train_and_export

            train_and_export(run, group, arguments, progress)
        else:
            from proving_ground.evaluate import evaluate

            evaluate(run, group, arguments.data, arguments.candidate, arguments.production, arguments.output, progress)


def main() -> int:
    """Run the command; what went wrong is written where the supervisor looks, and told by the exit code."""
    arguments = parse_arguments()
    failure: dict[str, str]
    try:
        if arguments.command == "import":
            import_dataset(arguments)
        else:
            run_job(arguments)
        return 0
    except ValueError as error:
        if not isinstance(error, Refused):
            traceback.print_exc()
        failure, code = {"kind": Refused.kind, "message": str(error)}, Refused.exit_code
    except NonFiniteLoss as error:
        failure, code = {"kind": NonFiniteLoss.kind, "message": str(error)}, NonFiniteLoss.exit_code
    except Stopped as error:
        failure, code = {"kind": "stopped", "message": str(error)}, 75
    except Exception as error:
        traceback.print_exc()
        failure, code = {"kind": "bug", "message": f"A bug in the trainer: {type(error).__name__}: {error}"}, 1
    print(failure["message"], file=sys.stderr, flush=True)
    if arguments.command != "import":
        write_json(arguments.work / "failure.json", failure)
    return code


if __name__ == "__main__":
    sys.exit(main())

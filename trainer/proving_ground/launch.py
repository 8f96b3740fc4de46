"""A job's folder and a command become one supervised process group: started once, stopped with grace, its end written.

Run: python -m proving_ground.launch --job DIR --grace SECONDS --done FILE -- COMMAND...

Standard library only: it starts in the time of a bare interpreter.
"""

import argparse
import datetime
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Write a file whole: a reader sees the old one or the new one."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(value) + "\n")
    beside.replace(file)


def read_json(file: Path) -> dict[str, Any] | None:
    """Read a file that may not be there."""
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return None


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None where the system doesn't tell."""
    try:
        # The command's name, in parentheses, may hold spaces: fields are counted after it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def now() -> str:
    """The time, as documents write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def supervise(job: Path, command: list[str], grace: float, lock: int) -> int:
    """Run the command to its end and write how it ended; SIGTERM is passed on, after the grace the group is killed."""
    attempt = ((read_json(job / "process.json") or {}).get("attempt") or 0) + 1
    pid, group = os.getpid(), os.getpgid(0)
    child: subprocess.Popen[bytes] | None = None
    asked = False

    def finish(code: int | None, ended_by: str | None) -> None:
        write_json(job / "exit.json", {"attempt": attempt, "code": code, "signal": ended_by, "finished_at": now()})

    def stop(*_: object) -> None:
        nonlocal asked
        # Asking twice doesn't make the grace longer.
        if not asked:
            signal.setitimer(signal.ITIMER_REAL, max(grace, 0.001))
        asked = True
        if child is not None:
            child.terminate()

    def kill(*_: object) -> None:
        # This process goes with its group, so the end is written first.
        finish(None, "SIGKILL")
        os.killpg(group, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, kill)
    (job / "exit.json").unlink(missing_ok=True)
    # Written before the child is there: a job that runs can always be found.
    started = {"pid": pid, "pgid": group, "start_time": start_time(pid), "attempt": attempt, "started_at": now()}
    write_json(job / "process.json", started)
    with (job / "log.txt").open("ab") as log:
        try:
            # The lock's descriptor goes to the child: the job stays locked while any of its processes lives.
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock], cwd=job
            )
        except OSError as error:
            log.write(f"{command[0]} can't be started: {error.strerror}\n".encode())
            finish(127, None)
            return 0
    if asked:
        child.terminate()
    code = child.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
    if code < 0:
        # A child that was killed could not stop its workers: they are asked to, and keep the lock until they are gone.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(group, signal.SIGTERM)
        finish(None, signal.Signals(-code).name)
    else:
        finish(code, None)
    return 0


def main() -> int:
    """Take the job's lock or leave the job to the one that has it."""
    parser = argparse.ArgumentParser(prog="proving_ground.launch", description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="the job's folder")
    parser.add_argument(
        "--grace", type=float, required=True, help="seconds between being asked to stop and being killed"
    )
    parser.add_argument("--done", type=Path, required=True, help="a file that exists once nothing is left to do")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    arguments = parser.parse_args()
    command = [word for position, word in enumerate(arguments.command) if position > 0 or word != "--"]
    if os.getpgid(0) != os.getpid():
        os.setsid()
    arguments.job.mkdir(parents=True, exist_ok=True)
    lock = os.open(arguments.job / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        # The kernel gives the lock to one process and takes it back from the dead: starting twice starts once.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("already running")
        return 0
    if arguments.done.exists():
        print("already done")
        return 0
    return supervise(arguments.job, command, arguments.grace, lock)


if __name__ == "__main__":
    sys.exit(main())

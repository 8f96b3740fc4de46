"""A job's folder and a command become one supervised process group: started once, stopped with grace, its end written.

Run: python -m proving_ground.launch --job DIR --grace SECONDS --done FILE --lock FILE -- COMMAND...

Standard library only: it starts in the time of a bare interpreter.
"""

import argparse
import datetime
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from proving_ground.masking import copy_masked, secrets_of

# Another job makes the same artefacts: try again later (sysexits.h).
ELSEWHERE = 75
# A launcher that has written how its job ended is gone so soon, and its locks with it.
LEAVING_SECONDS = 5.0
# A log that is masked is whole so soon after the job's last process has ended.
LOG_SECONDS = 5.0


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Write a file whole: a reader sees the old one or the new one."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(value) + "\n")
    beside.replace(file)


def read_json(file: Path) -> dict[str, Any]:
    """Read a file that may not be there, or may be damaged: it is empty then."""
    try:
        value = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_text(file: str) -> str | None:
    """A file of the system's; None where there is none."""
    try:
        return Path(file).read_text()
    except OSError:
        return None


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None where the system doesn't tell."""
    text = read_text(f"/proc/{pid}/stat")
    # The command's name, in parentheses, may hold spaces: fields are counted after it.
    return None if text is None else int(text.rpartition(")")[2].split()[19])


def boot() -> dict[str, Any]:
    """Which boot of the machine this is, and the seconds since: a clock that nobody sets. None where it isn't told."""
    identity, uptime = read_text("/proc/sys/kernel/random/boot_id"), read_text("/proc/uptime")
    return {"boot": identity and identity.strip(), "uptime": uptime and float(uptime.split()[0])}


def now() -> str:
    """The time, as documents write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def others(group: int, known: set[int]) -> list[int]:
    """Processes of a group beside the known ones; those that have ended and wait to be reaped don't count."""
    if not Path("/proc/self/stat").exists():
        listing = ["ps", "-A", "-o", "pid=,pgid=,stat="]
        # In a group of its own: it lists itself too.
        listed = subprocess.run(listing, capture_output=True, text=True, check=False, start_new_session=True)
        found = [(int(pid), int(of), state[0]) for pid, of, state in map(str.split, listed.stdout.splitlines())]
    else:
        found = list(processes())
    return [pid for pid, of, state in found if of == group and state != "Z" and pid not in known]


def processes() -> Iterator[tuple[int, int, str]]:
    """Each process with its group and its state."""
    for place in Path("/proc").iterdir():
        text = read_text(str(place / "stat")) if place.name.isdigit() else None
        if text is not None:
            state, _, group = text.rpartition(")")[2].split()[:3]
            yield int(place.name), int(group), state


def open_log(file: Path, lock: int) -> tuple[BinaryIO, int | None]:
    """The job's log to write to, and the process that masks the job's secrets in it; None where it has none."""
    log, secrets = file.open("ab"), secrets_of()
    if not secrets:
        return log, None
    source, target = os.pipe()
    masker = os.fork()
    if masker == 0:
        # A process of its own: the workers of a killed launcher still write.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.close(target)
        os.close(lock)
        try:
            copy_masked(source, log, secrets)
        finally:
            os._exit(0)
    os.close(source)
    log.close()
    return os.fdopen(target, "wb", buffering=0), masker


def wait_for_log(masker: int | None) -> None:
    """Wait until the log has all that was written, but not for a process that keeps it open."""
    deadline = time.monotonic() + LOG_SECONDS
    while masker is not None and time.monotonic() < deadline and os.waitpid(masker, os.WNOHANG)[0] == 0:
        time.sleep(0.01)


def supervise(job: Path, command: list[str], grace: float, lock: int, stdin: int) -> int:
    """Run the command to its end and write how it ended; SIGTERM is passed on, after the grace the group is killed."""
    before = read_json(job / "process.json").get("attempt")
    attempt = before + 1 if isinstance(before, int) else 1
    pid, group, began = os.getpid(), os.getpgid(0), time.monotonic()
    child: subprocess.Popen[bytes] | None = None
    asked = False
    log, masker = open_log(job / "log.txt", lock)

    def finish(code: int | None, ended_by: str | None) -> None:
        ended = {"attempt": attempt, "code": code, "signal": ended_by, "finished_at": now()}
        write_json(job / "exit.json", {**ended, "seconds": round(time.monotonic() - began, 3)})

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
    write_json(job / "process.json", {**started, **boot()})
    with log:
        try:
            # The child has the locks, the output's as its input, and so has all that it starts: locked while any lives.
            child = subprocess.Popen(command, stdin=stdin, stdout=log, stderr=log, pass_fds=[lock], cwd=job)
        except OSError as error:
            log.write(f"{command[0]} can't be started: {error.strerror}\n".encode())
    if child is None:
        wait_for_log(masker)
        finish(127, None)
        return 0
    if asked:
        child.terminate()
    code = child.wait()
    if code < 0:
        end_workers(group, {pid, masker or pid}, grace if not asked else None)
    signal.setitimer(signal.ITIMER_REAL, 0)
    wait_for_log(masker)
    finish(None if code < 0 else code, signal.Signals(-code).name if code < 0 else None)
    return 0


def end_workers(group: int, known: set[int], grace: float | None) -> None:
    """Ask workers whose own supervisor was killed to end, and return once they have; after the grace all are killed.

    grace is None where it has begun already.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if grace is not None:
        signal.setitimer(signal.ITIMER_REAL, max(grace, 0.001))
    os.killpg(group, signal.SIGTERM)
    while others(group, known):
        time.sleep(0.05)


def wait_for_lock(lock: int, is_leaving: Callable[[], bool]) -> None:
    """Lock a file; raises BlockingIOError where another has it, and isn't about to leave."""
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            # The kernel gives the lock to one process and takes it back from the dead: starting twice starts once.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not is_leaving() or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def has_ended(job: Path) -> bool:
    """Whether the last launcher of a job has written how the job ended."""
    ended, begun = read_json(job / "exit.json").get("attempt"), read_json(job / "process.json").get("attempt")
    return ended is not None and ended == begun


def lock_output(file: Path, job: Path) -> int:
    """Lock what the job makes, which jobs of other folders may make too; returns the lock's descriptor.

    Raises BlockingIOError, with who has it, where another job makes it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        # The job's own lock is had: its last launcher is about to let go of this one too.
        wait_for_lock(lock, lambda: read_json(file).get("job") == str(job))
    except BlockingIOError as error:
        owner = read_json(file)
        who = f"process {owner.get('pid')} on {owner.get('host')}, started from {owner.get('job')}"
        raise BlockingIOError(error.errno, who) from error
    except OSError as error:
        # A file system without locks: the job's own folder is locked, and that is all that can be had.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        return lock
    os.ftruncate(lock, 0)
    # Who reads it as its input is at its end.
    os.write(lock, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "job": str(job)}).encode())
    return lock


def main() -> int:
    """Take the job's lock or leave the job to the one that has it."""
    parser = argparse.ArgumentParser(prog="proving_ground.launch", description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="the job's folder")
    parser.add_argument(
        "--grace", type=float, required=True, help="seconds between being asked to stop and being killed"
    )
    parser.add_argument("--done", type=Path, required=True, help="a file that exists once nothing is left to do")
    parser.add_argument("--lock", type=Path, required=True, help="a file that is locked while the artefacts are made")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    arguments = parser.parse_args()
    command = [word for position, word in enumerate(arguments.command) if position > 0 or word != "--"]
    if os.getpgid(0) != os.getpid():
        os.setsid()
    arguments.job.mkdir(parents=True, exist_ok=True)
    lock = os.open(arguments.job / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        # Who is started as its job ends starts the next: nothing would otherwise.
        wait_for_lock(lock, lambda: has_ended(arguments.job))
    except BlockingIOError:
        print("already running")
        return 0
    if arguments.done.exists():
        print("already done")
        return 0
    try:
        output = lock_output(arguments.lock, arguments.job)
    except BlockingIOError as error:
        print(error.strerror)
        return ELSEWHERE
    return supervise(arguments.job, command, arguments.grace, lock, output)


if __name__ == "__main__":
    sys.exit(main())

"""Ranks that tests fork ..."""

import os
import signal
from pathlib import Path

import ranks

PRINTS = "import os, sys; print(sys.argv[1], os.environ['RANK'], os.environ['WORLD_SIZE'], sys.stdin.read())"
WAITS = "import time; print('waits', flush=True); time.sleep(60)"
# The first rank fails; the other ends as SIGTERM asks it to.
FAILS = """
import os, signal, sys, time
def stop(*_):
    print("asked to stop", flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1] + os.environ["RANK"], "w").close()
while not (os.path.exists(sys.argv[1] + "0") and os.path.exists(sys.argv[1] + "1")):
    time.sleep(0.01)
if os.environ["RANK"] == "0":
    sys.exit(3)
time.sleep(60)
"""


def test_are_given_their_place_their_arguments_and_what_is_on_stdin(tmp_path: Path) -> None:
    code, said = ranks.run(["given"], 2, tmp_path / "log.txt", script=PRINTS, stdin="text")
    assert code == 0
    assert sorted(said.splitlines()) == ["given 0 2 text", "given 1 2 text"]


def test_are_asked_to_stop_when_one_of_them_fails(tmp_path: Path) -> None:
    code, said = ranks.run([str(tmp_path / "ready")], 2, tmp_path / "log.txt", script=FAILS)
    assert (code, said) == (3, "asked to stop\n")


def test_say_by_which_signal_they_ended(tmp_path: Path) -> None:
    job = ranks.start([], 1, tmp_path / "log.txt", script=WAITS)
    os.kill(job.pids[0], signal.SIGKILL)
    assert job.wait()[0] == -signal.SIGKILL


def test_leave_the_next_job_alone_where_a_test_left_them_running(tmp_path: Path) -> None:
    ranks.start([], 1, tmp_path / "left.txt", script=WAITS)
    assert ranks.run(["given"], 1, tmp_path / "log.txt", script=PRINTS) == (0, "given 0 1 \n")

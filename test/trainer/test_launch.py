"""The launcher ..."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TRAINER = Path(__file__).parents[2] / "trainer"


class Jobs:
    """Launchers of one job's folder, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def launch(
        self,
        code: str,
        grace: float = 5.0,
        gate: Path | None = None,
        command: list[str] | None = None,
        output: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Launch a Python program as the job; with a gate, the launcher is ready before the gate's file is there."""
        options = ["--job", str(self.folder), "--grace", str(grace), "--done", str(self.folder / "done")]
        options += ["--lock", str(output or self.folder.parent / "output.lock")]
        arguments = [*options, "--", *(command or [sys.executable, "-c", code])]
        wait = f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.001)" if gate else ""
        program = (
            "import pathlib, sys, time\nfrom proving_ground import launch\n"
            f"{wait}\nsys.argv = ['launch', *{arguments!r}]\nsys.exit(launch.main())"
        )
        with (self.folder.parent / f"said-{len(self.started)}.txt").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONPATH": str(TRAINER), **(environment or {})},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a launcher printed."""
        return (self.folder.parent / f"said-{self.started.index(process)}.txt").read_text().strip()

    def read(self, name: str) -> dict[str, object] | None:
        """A document in the job's folder."""
        file = self.folder / name
        return json.loads(file.read_text()) if file.exists() else None


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path / "job")
    yield jobs
    for process in jobs.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(found: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is there."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def test_writes_how_the_job_ended_and_keeps_its_output(jobs: Jobs) -> None:
    launcher = jobs.launch("import sys; print('said'); print('complained', file=sys.stderr); sys.exit(65)")
    launcher.wait(20)
    ended = jobs.read("exit.json")
    assert ended is not None
    assert (ended["code"], ended["signal"]) == (65, None)
    assert sorted((jobs.folder / "log.txt").read_text().split()) == ["complained", "said"]


def test_names_its_process_so_that_it_can_be_told_from_a_later_one(jobs: Jobs) -> None:
    launcher = jobs.launch("import time; time.sleep(30)")
    wait_for(lambda: jobs.read("process.json"))
    written = jobs.read("process.json")
    assert written is not None
    started = int(Path(f"/proc/{launcher.pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert (written["pid"], written["pgid"], written["start_time"]) == (launcher.pid, launcher.pid, started)
    assert written["attempt"] == 1


def test_starts_one_job_of_twenty_launched_at_the_same_instant(jobs: Jobs) -> None:
    gate = jobs.folder.parent / "go"
    code = "import os, time; open('runs.txt', 'a').write(f'{os.getpid()}\\n'); time.sleep(60)"
    for _ in range(20):
        jobs.launch(code, gate=gate)
    # Interpreters take their time to start: all of them are to be at the gate.
    time.sleep(1)
    gate.touch()
    wait_for(lambda: sum(process.poll() is not None for process in jobs.started) == 19)
    wait_for((jobs.folder / "runs.txt").exists)
    left = [process for process in jobs.started if process.poll() is not None]
    assert [(process.returncode, jobs.said(process)) for process in left] == [(0, "already running")] * 19
    assert len((jobs.folder / "runs.txt").read_text().split()) == 1


def test_leaves_a_finished_job_alone(jobs: Jobs) -> None:
    jobs.folder.mkdir()
    (jobs.folder / "done").touch()
    launcher = jobs.launch("open('ran', 'w')")
    assert launcher.wait(20) == 0
    assert not (jobs.folder / "ran").exists()
    assert jobs.read("process.json") is None


def test_counts_attempts_and_removes_the_end_of_the_one_before(jobs: Jobs) -> None:
    jobs.launch("import sys; sys.exit(3)").wait(20)
    assert (jobs.read("exit.json") or {}).get("attempt") == 1
    jobs.launch("import time; time.sleep(30)")
    wait_for(lambda: (jobs.read("process.json") or {}).get("attempt") == 2)
    assert jobs.read("exit.json") is None


def test_writes_the_end_of_a_command_that_cannot_be_started(jobs: Jobs) -> None:
    jobs.launch("", command=["/no/such/python"]).wait(20)
    assert (jobs.read("exit.json") or {}).get("code") == 127
    assert "/no/such/python can't be started: No such file" in (jobs.folder / "log.txt").read_text()


def test_stops_the_workers_of_a_killed_job(jobs: Jobs) -> None:
    worker = "import time; time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"worker = subprocess.Popen([sys.executable, '-c', {worker!r}])\n"
        "open('.pids', 'w').write(f'{worker.pid}'); import os; os.rename('.pids', 'worker'); time.sleep(60)"
    )
    launcher = jobs.launch(code)
    wait_for((jobs.folder / "worker").exists)
    (child,) = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    launcher.wait(20)
    assert (jobs.read("exit.json") or {}).get("signal") == "SIGKILL"
    wait_for(lambda: not is_alive(int((jobs.folder / "worker").read_text())))


def test_kills_stubborn_workers_of_a_killed_job_before_it_ends(jobs: Jobs) -> None:
    worker = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w'); time.sleep(60)"
    code = (
        "import os, subprocess, sys, time\n"
        f"worker = subprocess.Popen([sys.executable, '-c', {worker!r}])\n"
        "open('.pids', 'w').write(f'{worker.pid}'); os.rename('.pids', 'worker'); time.sleep(60)"
    )
    launcher = jobs.launch(code, grace=0.5)
    wait_for(lambda: (jobs.folder / "worker").exists() and (jobs.folder / "deaf").exists())
    (child,) = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    launcher.wait(20)
    wait_for(lambda: not is_alive(int((jobs.folder / "worker").read_text())))
    assert (jobs.read("exit.json") or {}).get("signal") == "SIGKILL"


def test_makes_an_output_once_though_two_folders_ask_for_it(jobs: Jobs, tmp_path: Path) -> None:
    jobs.launch("import time; time.sleep(60)")
    wait_for(lambda: jobs.read("process.json"))
    other = Jobs(tmp_path / "other" / "job")
    other.folder.parent.mkdir()
    second = other.launch("open('ran', 'w')", output=tmp_path / "output.lock")
    assert second.wait(20) == 75
    assert other.said(second).startswith(f"process {jobs.started[0].pid} on ")
    assert not (other.folder / "ran").exists()


def test_begins_anew_where_a_power_cut_has_left_damage(jobs: Jobs) -> None:
    jobs.folder.mkdir()
    for name, content in (("process.json", ""), ("exit.json", '{"atte')):
        (jobs.folder / name).write_text(content)
    jobs.launch("import sys; sys.exit(3)").wait(20)
    assert (jobs.read("exit.json") or {}).get("attempt") == 1


def test_counts_the_time_by_a_clock_that_nobody_sets(jobs: Jobs) -> None:
    jobs.launch("import time; time.sleep(0.3)").wait(20)
    started, ended = jobs.read("process.json"), jobs.read("exit.json")
    assert started is not None
    assert ended is not None
    assert started["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert 0.2 < float(str(ended["seconds"])) < 20


def test_masks_secrets_in_the_log_also_in_pieces_and_while_workers_of_a_killed_launcher_write(jobs: Jobs) -> None:
    code = (
        "import os, sys, time; key = os.environ['KEY']\n"
        "sys.stdout.write('one ' + key + ' two ' + key[:5]); sys.stdout.flush(); time.sleep(0.2)\n"
        "print(key[5:], 'three', key[:5]); sys.stdout.flush(); open('ready', 'w')\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n"
        "print('four', key); sys.stdout.flush(); time.sleep(60)"
    )
    environment = {
        "KEY": "a-secret-key",
        "LONGER": "a-secret-key-and-more",
        "PROVING_GROUND_SECRETS": "KEY,LONGER,NONE",
    }
    launcher = jobs.launch(code, environment=environment)
    log = jobs.folder / "log.txt"
    wait_for((jobs.folder / "ready").exists)
    wait_for(lambda: log.read_text() == "one *** two *** three a-sec\n")
    launcher.kill()
    launcher.wait(20)
    (jobs.folder / "go").touch()
    wait_for(lambda: log.read_text() == "one *** two *** three a-sec\nfour ***\n")
    os.killpg(launcher.pid, signal.SIGKILL)


def test_passes_sigterm_on_and_waits_for_the_job_to_save(jobs: Jobs) -> None:
    code = (
        "import signal, sys, time\n"
        "def save(*_):\n    time.sleep(0.3); open('saved', 'w'); sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, save); open('ready', 'w'); time.sleep(60)"
    )
    launcher = jobs.launch(code, grace=60)
    wait_for((jobs.folder / "ready").exists)
    launcher.terminate()
    launcher.wait(20)
    # All that is known of a failure: whether the job saved, how the launcher says that it ended, and what it printed.
    found = ((jobs.folder / "saved").exists(), (jobs.read("exit.json") or {}).get("code"), jobs.said(launcher))
    assert found == (True, 75, ""), jobs.read("exit.json")


@pytest.mark.parametrize("held", ["lock", "output"])
def test_starts_the_job_again_while_the_last_launcher_has_ended_it_but_not_left(jobs: Jobs, held: str) -> None:
    jobs.launch("").wait(20)
    file = jobs.folder / "lock" if held == "lock" else jobs.folder.parent / "output.lock"
    with file.open("r+") as leaving:
        fcntl.flock(leaving, fcntl.LOCK_EX)
        second = jobs.launch("open('second', 'w')")
        time.sleep(0.5)
        assert second.poll() is None
    assert (second.wait(20), jobs.said(second)) == (0, "")
    assert (jobs.folder / "second").exists()
    assert jobs.read("exit.json")["attempt"] == 2


def test_kills_the_whole_group_when_the_grace_is_over(jobs: Jobs) -> None:
    code = (
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'])\n"
        "open('worker', 'w').write(str(worker.pid)); open('ready', 'w'); time.sleep(60)"
    )
    launcher = jobs.launch(code, grace=0.3)
    wait_for((jobs.folder / "ready").exists)
    worker = int((jobs.folder / "worker").read_text())
    launcher.terminate()
    launcher.wait(20)
    assert (jobs.read("exit.json") or {}).get("signal") == "SIGKILL"
    wait_for(lambda: not is_alive(worker))


def test_says_already_running_while_workers_of_a_killed_launcher_live(jobs: Jobs) -> None:
    launcher = jobs.launch("import os, time; open('worker', 'w').write(str(os.getpid())); time.sleep(60)")
    wait_for(lambda: (jobs.folder / "worker").exists() and (jobs.folder / "worker").read_text())
    launcher.kill()
    launcher.wait(20)
    worker = int((jobs.folder / "worker").read_text())
    assert is_alive(worker)
    second = jobs.launch("open('second', 'w')")
    assert (second.wait(20), jobs.said(second)) == (0, "already running")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: not is_alive(worker))
    jobs.launch("open('second', 'w')").wait(20)
    assert (jobs.folder / "second").exists()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

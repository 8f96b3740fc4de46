"""A command of the trainer becomes its processes, forked from one that has loaded torch: torchrun without its start.

An interpreter that loads torch and the exporters costs seconds of a processor, for torchrun and for each of its ranks.
Here they are loaded once for all jobs of a test process. A rank is a process of its own as under torchrun: with its
environment and arguments, SIGTERM for all when one of them fails, and the job's store kept outside of them.

Run: python ranks.py, which reads a job a line on stdin and answers with its processes' ids, then their exit codes.
"""

import contextlib
import gc
import importlib
import json
import math
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

TRAINER = Path(__file__).parents[2] / "trainer"
# What training, evaluation and exports load by the time they are through. Not onnxruntime: it is quick, and starts a
# thread. Left out, a module is only loaded by each rank anew.
MODULES = [
    *("proving_ground.loop", "proving_ground.evaluation.scores", "numba.cpython.unicode", "numba.np.arrayobj"),
    *("scipy.optimize", "scipy.spatial", "scipy.special", "sympy.combinatorics", "sympy.tensor.tensor"),
    *("torch._dynamo", "torch._export.serde.serialize", "torch._functorch.aot_autograd", "torch._inductor.codecache"),
    *("torch.export._trace", "torch.export.pt2_archive._package", "torch.onnx._internal.exporter._core"),
    *("torch.onnx._internal.exporter._torchlib.ops", "torch.utils._sympy.reference"),
    *("onnxscript", "onnxscript.function_libs.torch_lib.ops"),
]
OWN = {"PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1"}
FORK = multiprocessing.get_context("fork")
GRACE_SECONDS, PATIENCE_SECONDS = 30.0, 300.0


class Ranks:
    """A job's processes, started by `start`, with the store that they meet at."""

    def __init__(self, server: subprocess.Popen[bytes], store: Any, log: Path) -> None:
        self.server, self.store, self.log = server, store, log
        self.pids: list[int] = answer(server, "pids")

    def terminate(self) -> None:
        """Ask each to stop, as torchrun does when it is asked to."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def has_ended(self) -> bool:
        """Whether all have ended."""
        return bool(select.select([self.server.stdout], [], [], 0)[0])

    def wait(self, seconds: float = PATIENCE_SECONDS) -> tuple[int, str]:
        """The first exit code that isn't 0, and what all of them printed."""
        codes = answer(self.server, "codes", seconds)
        running.clear()
        return next((code for code in codes if code), 0), self.log.read_text(errors="replace")


def start(arguments: list[str], processes: int, log: Path, script: str | None = None, stdin: str = "") -> Ranks:
    """Start a command of `python -m proving_ground` as so many ranks, or a script in its place; wait() for its end."""
    # Kept by this process, as torchrun keeps it: a rank that ends takes nothing from the others.
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    surroundings = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    job = {"arguments": arguments, "processes": processes, "log": str(log), "script": script, "stdin": stdin}
    job["environment"] = {**os.environ, **OWN, **surroundings}
    if running:
        # A test that failed has left a job behind, and the server does one at a time.
        close_server()
    server = open_server()
    server.stdin.write(json.dumps(job).encode() + b"\n")
    running.append(Ranks(server, store, log))
    return running[0]


def run(*arguments: Any, **options: Any) -> tuple[int, str]:
    """Start and wait."""
    return start(*arguments, **options).wait()


# This test process's own server of ranks, and the job that it does; none or one each.
servers: list[subprocess.Popen[bytes]] = []
running: list[Ranks] = []


def open_server() -> subprocess.Popen[bytes]:
    """The server, started by the first job."""
    if not servers:
        # Unbuffered: what select doesn't see isn't there.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
        command = [sys.executable, __file__]
        servers.append(subprocess.Popen(command, env={**os.environ, **OWN}, start_new_session=True, **pipes))
    return servers[0]


def close_server() -> None:
    """End the server, and whatever is left of its job."""
    running.clear()
    while servers:
        server = servers.pop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def answer(server: subprocess.Popen[bytes], key: str, seconds: float = PATIENCE_SECONDS) -> list[int]:
    """The server's next answer; a job that takes too long is ended, and its server with it."""
    if not select.select([server.stdout], [], [], seconds)[0]:
        close_server()
        raise TimeoutError(f"the job did not end within {seconds:g} s")
    line = server.stdout.readline()
    if not line:
        close_server()
        raise RuntimeError("the server of ranks has ended")
    return json.loads(line)[key]


def serve() -> None:
    """Fork each job's ranks, until stdin ends."""
    for module in MODULES:
        importlib.import_module(module)
    # What is loaded stays where it is: no collection in a rank touches, and so copies, its pages.
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        # A thread would not be there in the ranks, and what it holds never let go.
        assert len(list(Path("/proc/self/task").iterdir())) == 1
        processes = [FORK.Process(target=be_rank, args=(job, rank)) for rank in range(job["processes"])]
        for process in processes:
            process.start()
        print(json.dumps({"pids": [process.pid for process in processes]}), flush=True)
        wait_for(processes)
        print(json.dumps({"codes": [process.exitcode for process in processes]}), flush=True)


def be_rank(job: dict[str, Any], rank: int) -> None:
    """Do a rank's part of a job, and exit with its code."""
    given = os.memfd_create("stdin")
    os.write(given, job["stdin"].encode())
    os.lseek(given, 0, os.SEEK_SET)
    log = os.open(job["log"], os.O_WRONLY | os.O_APPEND)
    for source, place in ((given, 0), (log, 1), (log, 2)):
        os.dup2(source, place)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    size = str(job["processes"])
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.clear()
    os.environ.update(job["environment"] | own)
    sys.argv = ["proving_ground", *job["arguments"]]
    if job["script"] is None:
        from proving_ground.__main__ import main

        sys.exit(main())
    exec(compile(job["script"], "script", "exec"), {"__name__": "__main__"})


def wait_for(processes: list[Any]) -> None:
    """Wait for all to end; the first that fails ends the others, as under torchrun."""
    left, deadline = list(processes), math.inf
    while left:
        wait([process.sentinel for process in left], None if deadline == math.inf else deadline - time.monotonic())
        left = [process for process in left if process.is_alive()]
        if time.monotonic() > deadline:
            for process in left:
                process.kill()
        elif deadline == math.inf and any(process.exitcode for process in processes):
            deadline = time.monotonic() + GRACE_SECONDS
            for process in left:
                process.terminate()


if __name__ == "__main__":
    serve()

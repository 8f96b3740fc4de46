"""A command becomes its exit status and what it took: clock and processor time, with jobs that outlive their parent.

Run: python test/timed.py FILE SECONDS COMMAND...  Past so many seconds the command is ended, and the status is 124.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 20


def main() -> int:
    file, seconds, *command = sys.argv[1:]
    began = time.monotonic()
    if sys.platform == "linux":
        # A job goes on when the action that started it has ended: it becomes a child of ours, and its time is counted.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(command)
    # Ctrl-C reaches the command by itself.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    status = wait(child.pid, began + float(seconds))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {"clock": time.monotonic() - began, "processor": used.ru_utime + used.ru_stime}
    Path(file).write_text(json.dumps(took))
    return status


def wait(pid: int, deadline: float) -> int:
    """Reaps what ends until the command has; its status, 128 and the number of a signal, or 124 past the deadline."""
    late_since = None
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return 124 if late_since else code if code >= 0 else 128 - code
        if ended:
            continue
        now = time.monotonic()
        if now > deadline:
            late_since = late_since or now
            os.kill(pid, signal.SIGTERM if now < late_since + GRACE_SECONDS else signal.SIGKILL)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())

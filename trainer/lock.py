"""The .in files become lock files with digests, requirements.txt with the CPU build of torch.

Run: .venv/bin/python trainer/lock.py [--upgrade]

A package that is locked keeps its version as long as the .in files allow it; with --upgrade all are resolved anew.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# What the CUDA build of torch asks for and the CPU build doesn't.
CUDA = re.compile(r"^(nvidia-|cuda-|triton)")
BUILD = re.compile(r"^(nvidia-|cuda-|triton|torch==)")


def resolve(source: str, locked: str) -> str:
    """Resolve for every platform that Python 3.11 and later run on; returns the lock file's text without a header."""
    options = [
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-header",
        "--quiet",
    ]
    with tempfile.TemporaryDirectory() as folder:
        # uv prefers the versions that it finds in the file that it writes.
        output = Path(folder) / locked
        if (HERE / locked).exists() and "--upgrade" not in sys.argv:
            shutil.copyfile(HERE / locked, output)
        subprocess.run(["uv", "pip", "compile", *options, source, "--output-file", output], cwd=HERE, check=True)
        return output.read_text()


def find_cpu_build(torch: str) -> str | None:
    """Digest of the CPU build of torch where pip finds one; None where it finds only what the index has."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, torch]
        subprocess.run(command, check=True)
        wheel = next(Path(folder).iterdir())
        return hashlib.sha256(wheel.read_bytes()).hexdigest() if "+cpu" in wheel.name else None


def split_entries(lock: str) -> list[str]:
    """One text for each locked package, with its digests."""
    return re.split(r"\n(?=[a-zA-Z0-9])", lock.strip())


def main() -> None:
    """Write the eight lock files."""
    header = "# Locked by trainer/lock.py from {}.\n"
    cuda = resolve("requirements.in", "requirements-cuda.txt")
    (HERE / "requirements-cuda.txt").write_text(header.format("requirements.in, with the CUDA build of torch") + cuda)
    entries = [entry for entry in split_entries(cuda) if not CUDA.match(entry)]
    torch = next(entry for entry in entries if entry.startswith("torch=="))
    digest = find_cpu_build(torch.split()[0])
    if digest is None:
        sys.exit("pip finds no CPU build of torch here: requirements.txt is left as it was.")
    name = torch.split()[0]
    # By its full version, which no other index has: where there is no CPU build pip says so at once, and does not
    # fetch the CUDA build only to refuse its digest.
    on_linux = f"{name}+cpu ; sys_platform == 'linux' \\\n    --hash=sha256:{digest}\n    # via -r requirements.in"
    elsewhere = torch.replace(name, f"{name} ; sys_platform != 'linux'", 1)
    text = "\n".join(f"{on_linux}\n{elsewhere}" if entry is torch else entry for entry in entries)
    (HERE / "requirements.txt").write_text(header.format("requirements.in, with the CPU build of torch") + text + "\n")
    # Each after those whose versions it takes.
    for name in ("data", "dvc", "parquet", "dev", "bench", "audit"):
        source, locked = f"requirements-{name}.in", f"requirements-{name}.txt"
        # torch is there already, in the build that the machine takes.
        entries = [entry for entry in split_entries(resolve(source, locked)) if not BUILD.match(entry)]
        (HERE / locked).write_text(header.format(source) + "\n".join(entries) + "\n")


if __name__ == "__main__":
    main()

"""Where a result was measured: processor, memory, GPU, load and versions; no names of machines or folders."""

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from toolkit_shared.errors import InputError

# What a run itself writes does not make the code another one.
RENDERED = ("benchmarks/results", "benchmarks/figures", "benchmarks/REPORT.md")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a result was measured.

    Attributes:
        cpu: model of the processor.
        cores: cores that this process may use, quotas of containers counted.
        threads: threads that each arm was pinned to.
        ram_gib: memory that this process may use, in GiB.
        gpu: model and number of GPUs, or None.
        load: load average over the minute before the run.
        versions: of Python and of the named packages.
    """

    cpu: str
    cores: int
    threads: int
    ram_gib: float
    gpu: str | None
    load: float
    versions: Mapping[str, str]


def capture_environment(
    packages: Sequence[str], *, threads: int = 1, versions: Mapping[str, str] | None = None
) -> Environment:
    """This process's environment; call it before the run, for the load average is part of it.

    Args:
        packages: distributions whose versions count.
        threads: threads that each arm is pinned to.
        versions: further versions, of peers that live in environments of their own.

    Raises:
        InputError: one of `packages` is not installed.
    """
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            raise InputError(f"{package}: is not installed, so its version cannot be recorded") from None
    return Environment(
        cpu=_cpu(),
        cores=_cores(),
        threads=threads,
        ram_gib=round(_memory_bytes() / 2**30, 1),
        gpu=_gpu(),
        load=round(os.getloadavg()[0], 2),
        versions=dict(sorted((found | dict(versions or {})).items())),
    )


def current_commit(folder: str | Path = ".") -> str:
    """Short hash of the commit checked out in `folder`, with `-dirty` where files differ; else `unknown`.

    Results and reports that are not committed yet do not count.
    """
    head = _output("git", "-C", str(folder), "rev-parse", "--short=7", "HEAD")
    top = _output("git", "-C", str(folder), "rev-parse", "--show-toplevel")
    if not head or not top:
        return "unknown"
    excluded = [f":(exclude){path}" for path in RENDERED]
    return head + (
        "-dirty" if _output("git", "-C", top, "status", "--porcelain", "--", ".", *excluded) else ""
    )


def timestamp() -> str:
    """The time now as the schema writes it: UTC, in seconds, such as 2026-01-31T00:00:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return " ".join(value.split())
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine() or "unknown"


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(int(quota) / int(period))))
    return cores


def _memory_bytes() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def _gpu() -> str | None:
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    if not names:
        return None
    counted = {name.strip(): names.count(name) for name in names}
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in sorted(counted.items()))


def _output(*command: str) -> str:
    """What a program prints, or nothing where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()

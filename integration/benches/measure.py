"""Interleaved times, and the machine that they were taken on."""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def parser(description: str, chosen: str, what: str, seconds: float) -> argparse.ArgumentParser:
    """The options of a bench: `--CHOSEN` names those of its works, each of which is a `what`, that are measured."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(f"--{chosen}", default="", help=f"names of {what}s, or how they begin, separated by commas")
    options.add_argument("--threads", default="1,2", help="numbers of threads")
    options.add_argument("--seconds", type=float, default=seconds, help=f"time for a {what}")
    options.add_argument("--quick", action="store_true", help=f"three rounds for each {what}")
    options.add_argument("--output", type=Path, default=Path("target/peers"), help="folder of the results")
    options.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options.add_argument("--retain", action="store_true", help=argparse.SUPPRESS)
    return options


#: What is added to the number of threads where the process has retained memory.
RETAINED = ", memory retained"


def processes(threads: str) -> Iterator[tuple[str, dict]]:
    """Runs this bench for each number of threads, with `--measure`, once as it is and once with `--retain`, for which it is to call
    `hlo2dae.retain_memory`: every line that it prints, read as JSON."""
    for number in threads.split(","):
        for retained in ("", RETAINED):
            command = [sys.executable, *sys.argv, "--measure", number, *(["--retain"] if retained else [])]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                for line in child.stdout:
                    yield number + retained, json.loads(line)
            if child.returncode:
                raise SystemExit(f"the process for {number} threads{retained} failed")


def allow(threads: int, retain: bool) -> None:
    """Lets the process run on so many processors, and retain memory. Every framework makes that many threads; so this comes before their import."""
    processors = sorted(os.sched_getaffinity(0))
    if threads > len(processors):
        raise SystemExit(f"{threads} threads, {len(processors)} processors")
    os.sched_setaffinity(0, processors[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Idle threads of one framework are not to wait in a loop while another one works.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if retain:
        import hlo2dae

        if not hlo2dae.retain_memory():
            raise SystemExit("the C library does not retain memory")


#: Seconds of a turn.
TURN = 0.05


def interleaved(functions: dict, seconds: float, most: int) -> dict[str, list[float]]:
    """Milliseconds of calls of every function, which take turns until time or count is up.

    A turn is some calls one after the other, two at least, of which the last is timed: it finds caches, heap and clock as the function
    leaves them, and not as its neighbour does.
    """
    times = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    while len(next(iter(times.values()))) < most:
        for name, function in functions.items():
            turn, calls, last = time.perf_counter() + TURN, 0, False
            while not last:
                start = time.perf_counter()
                last = calls > 0 and start > turn
                # The memory of a result is given back before the next one is asked for.
                function()
                calls += 1
            times[name].append(1e3 * (time.perf_counter() - start))
        if time.perf_counter() > end and len(times[name]) >= 3:
            break
    return times


def median(times: list[float]) -> float:
    """The middle of some times, to four digits."""
    return float(f"{statistics.median(times):.4g}")


def machine() -> dict[str, str]:
    """What the numbers hold for."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    family = re.search(r"cpu family\s*: (.*)", text)
    wide = "AVX-512" if " avx512f" in text else "AVX2" if " avx2" in text else platform.machine()
    return {
        "cpu": f"{name[1] if name else platform.processor()}{f' (family {family[1]})' if family else ''}, {wide}",
        "processors": str(os.cpu_count()),
        "date": datetime.date.today().isoformat(),
    }


def versions(*packages: str) -> dict[str, str]:
    """The versions of the packages that are installed."""
    from importlib import metadata

    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found

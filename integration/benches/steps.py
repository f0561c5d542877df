"""Whole steps of models, with and without hlo2dae: inference and training of a DLRM with 26 tables, and of a GCN and a GAT of two layers.

    python integration/benches/steps.py [--models NAME,...] [--threads 1,2] [--seconds S] [--quick] [--output FOLDER]

Each step runs as `jax.jit` or `tf.function(jit_compile=True)` compiles it, and as `hlo2dae.jax.jit` or `hlo2dae.tf.function` does, in turn;
and again in a process that retains memory. The results are compared first. XLA's profile then says what share of a step with hlo2dae each kind of its work takes. FOLDER gets steps.json
and steps.md; what was measured before and is not measured now is kept.
"""

import collections
import json
import re
import tempfile
import time
from pathlib import Path

import measure


def main() -> None:
    parser = measure.parser("Whole steps of models with and without hlo2dae.", "models", "step", 6.0)
    options = parser.parse_args()
    if options.measure:
        measure.allow(options.measure, options.retain)
        measured(options)
        return
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "steps.json"
    results = json.loads(path.read_text()) if path.exists() else {"steps": {}}
    for threads, step in measure.processes(options.threads):
        results["steps"].setdefault(step["name"], {}).update({"title": step["title"], "order": step["order"], threads: step})
        print(f"{threads} threads, {json.dumps(step)}", flush=True)
    results["steps"] = dict(sorted(results["steps"].items(), key=lambda item: item[1]["order"]))
    results["machine"] = measure.machine()
    path.write_text(json.dumps(results, indent=1) + "\n")
    report(results, options.output)


def measured(options) -> None:
    """Measures the chosen steps and prints each as a line of JSON."""
    import models
    import numpy as np

    names = tuple(name for name in options.models.split(",") if name)
    chosen = [step for step in models.STEPS if not names or step.name.startswith(names)]
    if not chosen:
        raise SystemExit(f"no such step; steps: {', '.join(step.name for step in models.STEPS)}")
    for step in chosen:
        ours, theirs = step.build()
        for mine, other in zip(ours.results(), theirs.results(), strict=True):
            error = np.linalg.norm(mine - other) / max(np.linalg.norm(other), 1e-30)
            if not error <= 1e-3:
                raise SystemExit(f"{step.name}: other numbers with hlo2dae than without, off by {error:.2e}")
        functions = {"hlo2dae": ours.run, "XLA": theirs.run}
        times = measure.interleaved(functions, *((0.0, 3) if options.quick else (options.seconds, 200)))
        found = {"name": step.name, "title": step.title, "order": models.STEPS.index(step)} | {name: measure.median(each) for name, each in times.items()}
        if not options.retain:
            found["share"] = profiled(ours.run, step.framework)
        print(json.dumps(found), flush=True)


#: What an event of XLA's profile is, by how it is named.
KINDS = {
    "our calls": re.compile(r"custom-call|hlo2dae"),
    "products of matrices": re.compile(r"dot|gemm|matmul", re.IGNORECASE),
    "copies": re.compile(r"copy"),
    "gathers and scatters that are left": re.compile(r"gather|scatter"),
}

#: The time of a step in which no operation of XLA runs: the framework's way to the compiled program and back, and memory for the results.
OUTSIDE = "outside of operations"


def profiled(run, framework: str, steps: int = 3) -> dict[str, float]:
    """The share that each kind of work has of the time of a step, from XLA's profile of a few steps.

    What several threads do at once is shared out among the kinds by the time that each of them takes.
    """
    import jax
    import tensorflow as tf

    trace = {"JAX": jax.profiler.trace, "TensorFlow": tf.profiler.experimental.Profile}[framework]
    with tempfile.TemporaryDirectory() as folder:
        with trace(folder):
            start = time.perf_counter_ns()
            for _ in range(steps):
                run()
            wall = time.perf_counter_ns() - start
        [file] = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(file))
    total = collections.Counter()
    spans = []
    for event in (event for plane in data.planes for line in plane.lines for event in line.events):
        if "hlo_op" in dict(event.stats):
            kind = next((kind for kind, pattern in KINDS.items() if pattern.search(event.name)), "the rest")
            total[kind] += event.duration_ns
            spans.append((event.start_ns, event.start_ns + event.duration_ns))
    busy = covered(spans) / wall
    whole = sum(total.values())
    shares = {kind: round(busy * part / whole, 3) for kind, part in total.most_common()}
    return shares | {OUTSIDE: round(1 - busy, 3)}


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of all that some spans cover, once."""
    length, last = 0, float("-inf")
    for start, end in sorted(spans):
        length += max(0, end - max(start, last))
        last = max(last, end)
    return length


def report(results, folder: Path) -> None:
    """Writes the table."""
    machine = results["machine"]
    lines = [
        f"Measured on {machine['date']}: {machine['processors']} processors, {machine['cpu']}. Written by `integration/benches/steps.py`.",
        "",
        "`retained`: both after `hlo2dae.retain_memory()`, in a process of its own.",
        "",
        "| step | threads | with hlo2dae, ms | XLA alone, ms | times as fast | retained: with hlo2dae, ms | XLA alone, ms | times as fast | where the time goes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for step in results["steps"].values():
        for threads in sorted((key for key in step if key.isdigit()), key=int):
            cells = [step["title"], threads]
            for times in (step[threads], step.get(threads + measure.RETAINED)):
                ours, theirs = (times["hlo2dae"], times["XLA"]) if times else (None, None)
                cells += [f"{ours:.3g}", f"{theirs:.3g}", f"{theirs / ours:.3g}"] if times else [""] * 3
            cells.append(", ".join(f"{kind} {part:.0%}" for kind, part in step[threads].get("share", {}).items()))
            lines.append(f"| {' | '.join(cells)} |")
    (folder / "steps.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

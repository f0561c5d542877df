"""Embedding work in hlo2dae beside XLA, TensorFlow, PyTorch and scipy.

    python integration/benches/peers.py [--rows NAME,...] [--threads 1,2] [--seconds S] [--quick] [--output FOLDER]

Each row of `rows.py` is done by every framework that is installed, all in one process and in turn, so that what disturbs the machine
disturbs all of them; the results are compared first. Arrays lie where each framework puts them, and ours is measured in JAX also
with the large ones rebuilt in large pages. Rows of large results are measured again in a process that retains memory. The lookups of one
call are not those of the one before. A process may use as many processors as it has threads. FOLDER gets peers.json, peers.csv, peers.md and peers.svg; rows that were measured before and are not measured now are kept. What the memory of the machine
gives is read from native.csv in FOLDER, where the class of that name is measured by the bench `native`. The package hlo2dae has to
be installed, or found by PYTHONPATH and HLO2DAE_LIBRARY; the other packages are those of requirements.txt.
"""

import csv
import json
import sys
from pathlib import Path

import measure

#: Rounding of sums in another order, as a part of the norm of the result.
TOLERANCE = {"bag-bf16": 3e-2}


def main() -> None:
    options = measure.parser("Embedding work in hlo2dae beside its peers.", "rows", "row", 4.0).parse_args()
    if options.measure:
        measure.allow(options.measure, options.retain)
        measured(options)
        return
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "peers.json"
    results = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    for threads, row in measure.processes(options.threads):
        results["rows"].setdefault(row["name"], {}).update(title=row["title"], order=row["order"])
        results["rows"][row["name"]][threads] = row["times"]
        print(f"{threads} threads, {row['title']}: {json.dumps(row['times'])}", flush=True)
    results["rows"] = dict(sorted(results["rows"].items(), key=lambda item: item[1]["order"]))
    results["machine"] = measure.machine()
    results["versions"] = measure.versions("tensorflow", "tensorflow-cpu", "jax", "torch", "scipy", "numpy")
    path.write_text(json.dumps(results, indent=1) + "\n")
    report(results, options.output)


def measured(options) -> None:
    """Measures the chosen rows and prints each as a line of JSON."""
    import rows

    if rows.torch is not None:
        rows.torch.set_num_threads(options.measure)
    names = tuple(name for name in options.rows.split(",") if name)
    chosen = [row for row in rows.ROWS if not names or row.name.startswith(names)]
    if not chosen:
        raise SystemExit(f"no such row; rows: {', '.join(row.name for row in rows.ROWS)}")
    for row in chosen:
        functions = row.build()
        large = compare(row, functions) >= rows.LARGE
        if options.retain and not large:
            continue
        times = measure.interleaved(functions, *((0.0, 3) if options.quick else (options.seconds, 400)))
        found = {name: measure.median(each) for name, each in times.items()}
        print(json.dumps({"name": row.name, "title": row.title, "order": rows.ROWS.index(row), "times": found}), flush=True)


def compare(row, functions) -> int:
    """Ends the process unless all functions give the same numbers. The bytes of a result."""
    import jax
    import numpy as np
    import rows

    result = functions[rows.XLA_JAX]()
    expected = rows.as_numpy(result)
    for name, function in functions.items():
        if name == rows.XLA_JAX:
            continue
        found = rows.as_numpy(function())
        error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30) if found.shape == expected.shape else np.inf
        if not error <= TOLERANCE.get(row.name, 1e-4):
            raise SystemExit(f"{row.title}: {name} gives other numbers than {rows.XLA_JAX}, off by {error:.2e}")
    return sum(each.nbytes for each in jax.tree.leaves(result))


#: Ours, in the order of the table.
OURS = ["hlo2dae in JAX", "hlo2dae in JAX, large pages", "hlo2dae in TensorFlow"]

#: For each column of ratios: what is compared, and with what of ours.
RATIOS = {
    "XLA (JAX)": ("XLA in JAX", "hlo2dae in JAX"),
    "XLA (TF)": ("XLA in TensorFlow", "hlo2dae in TensorFlow"),
    "TensorFlow": ("TensorFlow", "hlo2dae in TensorFlow"),
    "PyTorch": ("PyTorch", "hlo2dae in JAX"),
    "scipy": ("scipy", "hlo2dae in JAX"),
    "JAX BCSR": ("JAX BCSR", "hlo2dae in JAX"),
}


def limits(path: Path) -> tuple[str, dict[tuple[str, str], float]]:
    """Where and when limits were measured, and the milliseconds of each class and number of threads."""
    if not path.exists():
        return "not measured", {}
    machine, *lines = path.read_text().splitlines()
    table = csv.DictReader(lines)
    return machine.removeprefix("# "), {(row["class"], row["threads"]): float(row["limit, ms"]) for row in table}


def report(results, folder: Path) -> None:
    """Writes the table as CSV and Markdown, and the plot."""
    where, limit = limits(folder / "native.csv")
    threads = sorted({key for row in results["rows"].values() for key in row if key.isdigit()}, key=int)
    modes = [*threads, *(count + measure.RETAINED for count in threads)]
    with (folder / "peers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "threads", "implementation", "milliseconds"])
        for name, row in results["rows"].items():
            for count in modes:
                writer.writerows([name, count, each, time] for each, time in row.get(count, {}).items())
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"Measured on {machine['date']}: {machine['processors']} processors, {machine['cpu']}; "
        + ", ".join(f"{package} {version}" for package, version in versions.items())
        + ". Written by `integration/benches/peers.py`.",
        "",
        "`of the limit` is the part of the speed of memory that ours has in JAX: the limit of the class in `native.csv` by its milliseconds. "
        f"Limits: {where}.",
        "",
        "The call from Python is part of every time. It is most of the row of 8 x 4 bags; where the work has driven Python out of the caches, "
        "that of a `tf.function`, ours or not, takes two to three times as long.",
        "",
        "Works of large results are measured again where the process, and with it every library, has retained memory (`hlo2dae.retain_memory`).",
    ]
    for mode in modes:
        count, comma, after = mode.partition(", ")
        lines += ["", f"{count} thread{'s' * (count != '1')}{comma}{after}: milliseconds of ours in JAX, there after `hlo2dae.huge_pages` of the large arrays, and in TensorFlow, then how many times as long the others take.", ""]
        lines += ["| work | JAX | of the limit | large pages | TensorFlow | " + " | ".join(RATIOS) + " |", "|---|" + "---|" * (4 + len(RATIOS))]
        for row in results["rows"].values():
            times = row.get(mode)
            if times is None:
                continue
            ours, large, other = (f"{times[each]:.3g}" if each in times else "" for each in OURS)
            least = limit.get((row["title"], count))
            part = f"{least / times['hlo2dae in JAX']:.2f}" if least is not None and ours else ""
            cells = [ours, part, large, other]
            cells += [f"{times[them] / times[us]:.3g}" if them in times else "" for them, us in RATIOS.values()]
            lines.append(f"| {row['title']} | " + " | ".join(cells) + " |")
    (folder / "peers.md").write_text("\n".join(lines) + "\n")
    plot(results, threads, folder / "peers.svg")


def plot(results, threads, path: Path) -> None:
    """How many times as long as ours the peers take, for the largest number of threads."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "hlo2dae"
    from matplotlib import pyplot

    most = threads[-1]
    rows = [row for row in results["rows"].values() if most in row][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.42 * len(rows)), layout="constrained")
    shown = ["XLA (JAX)", "TensorFlow", "PyTorch", "scipy"]
    height = 0.8 / len(shown)
    for number, column in enumerate(shown):
        them, us = RATIOS[column]
        places = [place for place, row in enumerate(rows) if them in row[most]]
        ratios = [rows[place][most][them] / rows[place][most][us] for place in places]
        offset = 0.4 - height * (number + 0.5)
        axes.barh([place + offset for place in places], [ratio - 1 for ratio in ratios], height, left=1, label=column)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
    machine = results["machine"]
    axes.set_xlabel(f"times as long as hlo2dae, {most} threads; {machine['cpu']}, {machine['date']}")
    axes.legend(loc="lower right")
    axes.grid(axis="x", which="both", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()

"""Small modules and the values that XLA compiles them to: what the reference evaluator is held to, one operation at a time.

    python semantics.py FOLDER

writes into FOLDER, for each module, `NAME.hlo`, its arguments `NAME.arguments.npz` and XLA's results `NAME.expected.npz` (both
as `arg0`, `arg1`, ...), and `index.json`: a list of `{"name", "tolerance"}`. The tolerance is the largest allowed difference in
units in the last place of the result's type at the largest finite result; 0 asks for the same bits, any NaN being the same as
any other. Elementwise results are compared each at its own size instead, with `"elementwise": true`.

    python semantics.py FOLDER stablehlo

runs `NAME.mlir`, the module in StableHLO, on the same arguments and writes its results as `NAME.stablehlo.npz`.

Elementwise operations see all pairs of corner values (infinities, NaN, extreme numbers, shifts by more than the width),
conversions all pairs of types, the others random shapes and attributes from a fixed seed.

Left out is where XLA for the CPU is not the rule: integer powers with exponents of 64 and more, of which it reads the last six
bits; denormal numbers of bf16, f32 and f64, which its threads read and write as zeros; complex powers of zero; and initial values of reductions that are not neutral, which it drops when there is but one
element.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.extend.backend
import ml_dtypes
import numpy as np
from jax._src.lib import _jax, xla_client
from jaxlib import _hlo

jax.config.update("jax_enable_x64", True)

SIGNED = ["s8", "s16", "s32", "s64"]
UNSIGNED = ["u8", "u16", "u32", "u64"]
FLOATS = ["f16", "bf16", "f32", "f64"]
SMALL_FLOATS = ["f8e4m3fn", "f8e5m2", "f8e4m3", "f8e3m4", "f8e4m3b11fnuz", "f8e4m3fnuz", "f8e5m2fnuz"]
COMPLEX = ["c64", "c128"]

DTYPES = {
    "pred": np.bool_,
    **{f"s{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"u{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
    "c64": np.complex64,
    "c128": np.complex128,
    **{name: getattr(ml_dtypes, name.replace("f8", "float8_")) for name in SMALL_FLOATS},
}


def to_carrier(array):
    """The array in a type that numpy has: others travel as unsigned integers of their width."""
    array = np.asarray(array, order="C")
    native = array.dtype.kind in "biufc" and array.dtype.isbuiltin == 1
    return array if native else array.view(f"u{array.dtype.itemsize}")


def save(path, arrays):
    np.savez(path, **{f"arg{i}": to_carrier(array) for i, array in enumerate(arrays)})


def execute(client, stablehlo, arguments):
    """The results of a module."""
    device = client.local_devices()[0]
    executable = client.compile_and_load(stablehlo, _jax.DeviceList((device,)), xla_client.CompileOptions())
    return [np.asarray(result) for result in executable.execute([jax.device_put(a, device) for a in arguments])]


class Cases:
    """Gathers modules; XLA runs each as it is added."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.client = jax.extend.backend.get_backend("cpu")
        self.index = []

    def xla(self, text, arguments):
        module = _hlo.hlo_module_from_text(text)
        computation = _hlo.XlaComputation(module.as_serialized_hlo_module_proto())
        return execute(self.client, _jax.mlir.xla_computation_to_mlir_module(computation), arguments)

    def add(self, name, instruction, shapes, arguments, tolerance=0, elementwise=False, before="", computations=""):
        """A module whose parameters `p0`, `p1`, ... have the given shapes."""
        parameters = "".join(f"  p{i} = {shape} parameter({i})\n" for i, shape in enumerate(shapes))
        text = f"HloModule test\n{computations}\nENTRY main {{\n{parameters}{before}  ROOT r = {instruction}\n}}\n"
        number = len(self.index)
        name = f"{number:03} {name}".replace(" ", "-").replace("/", "-")
        try:
            results = self.xla(text, arguments)
        except Exception as error:
            raise RuntimeError(f"XLA refuses {name}:\n{text}") from error
        (self.folder / f"{name}.hlo").write_text(text)
        for kind, arrays in (("arguments", arguments), ("expected", results)):
            save(self.folder / f"{name}.{kind}.npz", arrays)
        self.index.append({"name": name, "tolerance": tolerance, "elementwise": elementwise})


def corners(element):
    """Values at which operations are special."""
    if element == "pred":
        values = [False, True]
    elif element in SIGNED:
        low, high = -(1 << int(element[1:]) - 1), (1 << int(element[1:]) - 1) - 1
        values = [low, low + 1, high, high - 1, 0, 1, -1, 2, -2, 3, -3, 5, 7, -7, 8, 9, 31, 32, 33, 63, 64, 100]
    elif element in UNSIGNED:
        high = (1 << int(element[1:])) - 1
        values = [0, 1, 2, 3, 5, 7, 8, 9, 31, 32, 33, 63, 64, 100, high // 2, high // 2 + 1, high // 3, high - 1, high]
    elif element in COMPLEX:
        parts = [0.0, 1.0, -1.0, 0.5, -2.25, 3.0, 1e-3]
        values = [complex(a, b) for a in parts for b in parts]
    else:
        values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 0.1, -0.3, 7.25, -100.0, 1e-3, 300.0]
        values += [float("inf"), -float("inf"), float("nan"), 1e-30, 65504.0, 1e20, 127.5, -128.5, 255.5, 2.0**31, 2.0**63, -(2.0**63)]
        info = ml_dtypes.finfo(DTYPES[element])
        values += [float(info.max), float(info.smallest_normal)]
        if element in ("f16", *SMALL_FLOATS):
            values += [float(info.smallest_subnormal), -float(info.smallest_subnormal)]
    with np.errstate(over="ignore"):
        return np.array(values).astype(DTYPES[element])


def pairs(element):
    values = corners(element)
    return [np.repeat(values, len(values)), np.tile(values, len(values))]


#: Units in the last place by which libraries differ in elementary functions of one type.
ULPS = {"f16": 1, "bf16": 1, "f32": 16, "f64": 64, "c64": 64, "c128": 256}


def together(elements, count, operations):
    """Instructions and a tuple of them all."""
    shapes = [f"{element}[{count}]" for element in elements]
    before = "".join(f"  o{i} = {shape} {operation}\n" for i, (shape, operation) in enumerate(zip(shapes, operations)))
    root = f"({', '.join(shapes)}) tuple({', '.join(f'o{i}' for i in range(len(shapes)))})"
    return before, root


def elementwise(cases):
    logic = ["and", "or", "xor"]
    arithmetic = ["add", "subtract", "multiply", "maximum", "minimum"]
    shifts = ["shift-left", "shift-right-logical", "shift-right-arithmetic"]
    exact_unary = ["abs", "negate", "sign"]
    rounding = ["ceil", "floor", "round-nearest-afz", "round-nearest-even"]
    functions = ["exponential", "exponential-minus-one", "log", "log-plus-one", "logistic", "sqrt", "rsqrt"]
    functions += ["sine", "cosine", "tan", "tanh"]
    real_functions = ["cbrt", "erf"]
    for element in ["pred", *SIGNED, *UNSIGNED, *FLOATS, *COMPLEX]:
        if element == "pred":
            binary, unary, inexact, inexact_unary = [*logic, "add", "multiply", "maximum", "minimum"], ["not"], [], []
        elif element in SIGNED + UNSIGNED:
            binary = [*logic, *arithmetic, *shifts, "divide", "remainder"]
            unary = ["not", "negate", "popcnt", "count-leading-zeros"]
            unary += ["abs", "sign"] if element in SIGNED else []
            inexact, inexact_unary = [], []
        elif element in FLOATS:
            binary, unary = arithmetic, [*exact_unary, *rounding]
            inexact, inexact_unary = ["divide", "remainder", "power", "atan2"], [*functions, *real_functions]
        else:
            binary, unary = ["add", "subtract"], ["negate", "real", "imag"]
            inexact, inexact_unary = ["multiply", "divide"], ["abs", "exponential", "log", "sqrt", "tanh"]
        values = corners(element)
        arguments = pairs(element)
        count = len(arguments[0])
        real = {"c64": "f32", "c128": "f64"}.get(element, element)
        for operations, tolerance in ((binary, 0), (inexact, ULPS.get(element, 0))):
            if operations:
                before, root = together([element] * len(operations), count, [f"{o}(p0, p1)" for o in operations])
                name = f"{element} {'inexact ' if tolerance else ''}of two"
                cases.add(name, root, [f"{element}[{count}]"] * 2, arguments, tolerance, True, before)
        for operations, tolerance in ((unary, 0), (inexact_unary, ULPS.get(element, 0))):
            if operations:
                results = [real if o in ("abs", "real", "imag") else element for o in operations]
                before, root = together(results, len(values), [f"{o}(p0)" for o in operations])
                name = f"{element} {'inexact ' if tolerance else ''}of one"
                cases.add(name, root, [f"{element}[{len(values)}]"], [values], tolerance, True, before)
        if element in SIGNED + UNSIGNED + COMPLEX:
            fits = arguments[0] != 0 if element in COMPLEX else arguments[1] < 64
            base, exponent = (array[fits] for array in arguments)
            shape = f"{element}[{len(base)}]"
            cases.add(f"{element} power", f"{shape} power(p0, p1)", [shape] * 2, [base, exponent], ULPS.get(element, 0), True)
        directions = ["EQ", "NE"] + ([] if element in COMPLEX else ["LT", "LE", "GT", "GE"])
        kinds = ["", ", type=TOTALORDER"] if element in FLOATS else [""]
        comparisons = [f"compare(p0, p1), direction={d}{kind}" for d in directions for kind in kinds]
        before, root = together(["pred"] * len(comparisons), count, comparisons)
        cases.add(f"{element} compare", root, [f"{element}[{count}]"] * 2, arguments, 0, True, before)
        choices = np.arange(count) % 3 == 0
        shapes = [f"pred[{count}]", f"{element}[{count}]", f"{element}[{count}]"]
        cases.add(f"{element} select", f"{element}[{count}] select(p0, p1, p2)", shapes, [choices, *arguments], 0, True)
        if element not in COMPLEX and element != "pred":
            shapes = [f"{element}[]", f"{element}[{len(values)}]", f"{element}[]"]
            for low, high in ((1, 3), (3, 1)):
                bounds = [np.array(bound).astype(DTYPES[element]) for bound in (low, high)]
                arrays = [bounds[0], values, bounds[1]]
                cases.add(f"{element} clamp", f"{element}[{len(values)}] clamp(p0, p1, p2)", shapes, arrays, 0, True)
        if element in FLOATS:
            formats = [(5, 10), (8, 7), (4, 3), (5, 2), (8, 23), (11, 52), (3, 0), (2, 3)]
            rounded = [f"reduce-precision(p0), exponent_bits={e}, mantissa_bits={m}" for e, m in formats]
            before, root = together([element] * len(rounded), len(values), rounded)
            cases.add(f"{element} reduce-precision", root, [f"{element}[{len(values)}]"], [values], 0, True, before)


def conversions(cases):
    elements = ["pred", *SIGNED, *UNSIGNED, *FLOATS, *SMALL_FLOATS, *COMPLEX]
    for source in elements:
        targets = [t for t in elements if t != source and (source not in COMPLEX or t in COMPLEX)]
        values = corners(source)
        before, root = together(targets, len(values), ["convert(p0)"] * len(targets))
        cases.add(f"convert {source}", root, [f"{source}[{len(values)}]"], [values], 0, True, before)


def combiner(operation, element, name="f"):
    return f"{name} {{\n  a = {element}[] parameter(0)\n  b = {element}[] parameter(1)\n  ROOT c = {element}[] {operation}(a, b)\n}}\n"


def neutral(operation, element):
    """The value that the operation leaves others as they are with."""
    if operation in ("maximum", "minimum"):
        least, most = (-np.inf, np.inf) if element in FLOATS else (np.iinfo(DTYPES[element]).min, np.iinfo(DTYPES[element]).max)
        return np.array(least if operation == "maximum" else most).astype(DTYPES[element])
    return np.array({"add": 0, "multiply": 1, "or": False}[operation]).astype(DTYPES[element])


def listed(values):
    return ",".join(str(int(value)) for value in values)


def crossed(values):
    return "x".join(str(int(value)) for value in values)


class Random:
    """Arrays and attributes from a fixed seed."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def array(self, element, dims):
        dims = [int(d) for d in dims]
        if element == "pred":
            return self.generator.integers(0, 2, dims).astype(bool)
        if element[0] in "su":
            return self.generator.integers(-9 if element[0] == "s" else 0, 10, dims).astype(DTYPES[element])
        parts = [self.generator.uniform(-2, 2, dims) for _ in range(2)]
        return (parts[0] + 1j * parts[1] if element[0] == "c" else parts[0]).astype(DTYPES[element])

    def integers(self, low, high, count):
        return self.generator.integers(low, high, count)

    def integer(self, low, high):
        return int(self.generator.integers(low, high))

    def window(self, sizes, low=0, reversal=False):
        """A window that fits, as text, and how many positions it has in each dimension."""
        rank = len(sizes)
        while True:
            window, stride = self.integers(1, 4, rank), self.integers(1, 3, rank)
            before, after = self.integers(low, 3, rank), self.integers(low, 3, rank)
            apart, spread = self.integers(1, 3, rank), self.integers(1, 3, rank)
            reach = (np.array(sizes) - 1) * spread + 1 + before + after
            positions = (reach - ((window - 1) * apart + 1)) // stride + 1
            if (positions >= 1).all() and (reach >= (window - 1) * apart + 1).all():
                break
        pad = "x".join(f"{a}_{b}" for a, b in zip(before, after))
        text = f"size={crossed(window)} stride={crossed(stride)} pad={pad}"
        text += f" lhs_dilate={crossed(spread)} rhs_dilate={crossed(apart)}"
        if reversal:
            text += f" rhs_reversal={crossed(self.integers(0, 2, rank))}"
        return window, f"window={{{text}}}", positions


#: Of the largest result, for sums in other orders, which XLA rounds to the type after each term.
SUMS = {"f16": 32, "bf16": 32, "f32": 64, "f64": 64, "c64": 64, "c128": 64}


def reductions(cases):
    random = Random(1)
    for k in range(32):
        element = ["s32", "f32", "bf16", "u8", "pred", "c64", "f16", "s64"][k % 8]
        operation = {"pred": "or", "c64": "add"}.get(element, ["add", "maximum", "minimum", "multiply"][k // 8])
        dims = random.integers(0 if k % 7 == 0 else 1, 7, random.integer(1, 5))
        reduced = np.sort(random.generator.permutation(len(dims))[: random.integer(0, len(dims) + 1)])
        kept = [d for i, d in enumerate(dims) if i not in reduced]
        cases.add(
            f"reduce {operation} {element}",
            f"{element}[{listed(kept)}] reduce(p0, p1), dimensions={{{listed(reduced)}}}, to_apply=f",
            [f"{element}[{listed(dims)}]", f"{element}[]"],
            [random.array(element, dims), neutral(operation, element)],
            SUMS.get(element, 0),
            computations=combiner(operation, element),
        )


def windows(cases):
    random = Random(2)
    for k in range(36):
        element = ["s32", "f32", "bf16"][k % 3]
        operation = ["add", "maximum", "minimum", "multiply"][k % 4]
        dims = random.integers(1, 7, random.integer(1, 4))
        _, window, positions = random.window(dims)
        cases.add(
            f"reduce-window {operation} {element}",
            f"{element}[{listed(positions)}] reduce-window(p0, p1), {window}, to_apply=f",
            [f"{element}[{listed(dims)}]", f"{element}[]"],
            [random.array(element, dims), neutral(operation, element)],
            SUMS.get(element, 0),
            computations=combiner(operation, element),
        )
    select = "s {\n  a = f32[] parameter(0)\n  b = f32[] parameter(1)\n  ROOT c = pred[] compare(a, b), direction=GE\n}\n"
    for _ in range(16):
        dims, window, stride = random.integers(3, 8, 2), random.integers(1, 4, 2), random.integers(1, 4, 2)
        low, high = random.integers(0, 2, 2), random.integers(0, 2, 2)
        positions = (dims + low + high - window) // stride + 1
        pad = "x".join(f"{a}_{b}" for a, b in zip(low, high))
        cases.add(
            "select-and-scatter",
            f"f32[{listed(dims)}] select-and-scatter(p0, p1, p2), "
            f"window={{size={crossed(window)} stride={crossed(stride)} pad={pad}}}, select=s, scatter=f",
            [f"f32[{listed(dims)}]", f"f32[{listed(positions)}]", "f32[]"],
            [random.array("f32", dims), random.array("f32", positions), np.float32(0)],
            SUMS["f32"],
            computations=select + combiner("add", "f32"),
        )


def dots(cases):
    random = Random(3)
    types = [("f32", "f32"), ("s32", "s32"), ("bf16", "f32"), ("f64", "f64"), ("c64", "c64"), ("s8", "s32"), ("f16", "f16"), ("u32", "u32")]
    for k in range(40):
        counts = {"b": random.integer(0, 3), "c": random.integer(0, 3), "l": random.integer(0, 3), "r": random.integer(0, 3)}
        sizes = {(part, i): random.integer(1, 5) for part, count in counts.items() for i in range(count)}
        sides = []
        for own in "lr":
            dims = [dim for dim in sizes if dim[0] in ("b", "c", own)]
            sides.append([dims[i] for i in random.generator.permutation(len(dims))])
        left, right = sides
        places = {
            f"{side}_{name}_dims": [dims.index((part, i)) for i in range(counts[part])]
            for name, part in (("batch", "b"), ("contracting", "c"))
            for side, dims in (("lhs", left), ("rhs", right))
        }
        result = [sizes["b", i] for i in range(counts["b"])]
        result += [sizes[dim] for dims, own in ((left, "l"), (right, "r")) for dim in dims if dim[0] == own]
        attributes = ", ".join(f"{name}={{{listed(dims)}}}" for name, dims in places.items())
        element, product = types[k % 8]
        shapes = [[sizes[dim] for dim in dims] for dims in sides]
        cases.add(
            f"dot {element}",
            f"{product}[{listed(result)}] dot(p0, p1), {attributes}",
            [f"{element}[{listed(shape)}]" for shape in shapes],
            [random.array(element, shape) for shape in shapes],
            SUMS.get(product, 0),
        )


def convolutions(cases):
    random = Random(4)
    for k in range(32):
        spatial = random.integer(0, 3)
        features = [1, 1, 2, 3][random.integer(0, 4)]
        batches = 1 if features > 1 else [1, 1, 2][random.integer(0, 3)]
        sizes = random.integers(1, 7, spatial)
        window, text, positions = random.window(sizes, low=-1, reversal=True)
        batch, depth, outputs = random.integer(1, 4) * batches, random.integer(1, 3), random.integer(1, 3) * features * batches
        numbered = "0123"[:spatial]

        def shuffled(labels):
            return "".join(random.generator.permutation(list(labels)))

        def shape(labels, parts, extents):
            parts = {**parts, **dict(zip(numbered, extents))}
            return [int(parts[label]) for label in labels]

        labels = [shuffled(kind + numbered) for kind in ("bf", "io", "bf")]
        shapes = [
            shape(labels[0], {"b": batch, "f": depth * features}, sizes),
            shape(labels[1], {"i": depth, "o": outputs}, window),
            shape(labels[2], {"b": batch // batches, "f": outputs}, positions),
        ]
        element = ["f32", "f64", "f32", "bf16"][k % 4]
        cases.add(
            f"convolution {element}",
            f"{element}[{listed(shapes[2])}] convolution(p0, p1), {text + ', ' if spatial else ''}"
            f"dim_labels={labels[0]}_{labels[1]}->{labels[2]}, "
            f"feature_group_count={features}, batch_group_count={batches}",
            [f"{element}[{listed(s)}]" for s in shapes[:2]],
            [random.array(element, s) for s in shapes[:2]],
            SUMS[element],
        )


def indexed(cases):
    """Gathers, scatters and dynamic slices, whose indices are often out of range."""
    random = Random(5)
    for k in range(24):
        rows, columns = random.integer(1, 8), random.integer(1, 5)
        index = ["s32", "s64", "u8", "s8"][k % 4]
        count = random.integer(0, 9)
        ids = random.generator.integers(0 if index[0] == "u" else -3, rows + 4, count).astype(DTYPES[index])
        height = random.integer(1, rows + 1)
        table = random.array("s32", (rows, columns))
        cases.add(
            f"gather {index}",
            f"s32[{count},{height},{columns}] gather(p0, p1), offset_dims={{1,2}}, collapsed_slice_dims={{}}, "
            f"start_index_map={{0}}, index_vector_dim=1, slice_sizes={{{height},{columns}}}",
            [f"s32[{rows},{columns}]", f"{index}[{count}]"],
            [table, ids],
        )
        operation = ["add", "multiply", "maximum", "minimum", "subtract", "and"][k % 6]
        cases.add(
            f"scatter {operation} {index}",
            f"s32[{rows},{columns}] scatter(p0, p1, p2), update_window_dims={{1,2}}, inserted_window_dims={{}}, "
            "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=f",
            [f"s32[{rows},{columns}]", f"{index}[{count}]", f"s32[{count},{height},{columns}]"],
            [table, ids, random.array("s32", (count, height, columns))],
            computations=combiner(operation, "s32"),
        )
    for element in SIGNED + UNSIGNED:
        for start in corners(element)[::3]:
            starts = [np.array(start), np.array(start)]
            table = random.array("s32", (5, 7))
            shapes = ["s32[5,7]", f"{element}[]", f"{element}[]"]
            sliced = "s32[2,3] dynamic-slice(p0, p1, p2), dynamic_slice_sizes={2,3}"
            updated = "s32[5,7] dynamic-update-slice(p0, p3, p1, p2)"
            cases.add(
                f"dynamic slices {element}",
                "(s32[2,3], s32[5,7]) tuple(a, b)",
                [*shapes, "s32[2,3]"],
                [table, *starts, random.array("s32", (2, 3))],
                before=f"  a = {sliced}\n  b = {updated}\n",
            )


def movement(cases):
    random = Random(6)
    for _ in range(24):
        dims = random.integers(0, 5, random.integer(1, 4))
        padding = [(random.integer(-3, 4), random.integer(-3, 4), random.integer(0, 3)) for _ in dims]
        padded = [max(0, (n - 1) * (i + 1) + 1 if n else 0) + low + high for n, (low, high, i) in zip(dims, padding)]
        if min(padded) < 0:
            continue
        text = "x".join("_".join(map(str, part)) for part in padding)
        cases.add(
            "pad",
            f"s32[{listed(padded)}] pad(p0, p1), padding={text}",
            [f"s32[{listed(dims)}]", "s32[]"],
            [random.array("s32", dims), np.int32(77)],
        )
    for element, direction in (("f32", "GT"), ("s32", "LT"), ("u8", "GE")):
        kind = ", type=TOTALORDER" if element == "f32" else ""
        direction = "LT" if direction == "GE" else direction
        values = random.generator.permutation(np.concatenate([corners(element), corners(element), random.array(element, (30,))]))
        n = len(values)
        comparator = "".join(f"  {name} = {t}[] parameter({i})\n" for i, (name, t) in enumerate(zip("abcd", [element] * 2 + ["s32"] * 2)))
        cases.add(
            f"sort {element}",
            f"({element}[{n}], s32[{n}]) sort(p0, p1), dimensions={{0}}, is_stable=true, to_apply=f",
            [f"{element}[{n}]", f"s32[{n}]"],
            [values, np.arange(n, dtype=np.int32)],
            computations=f"f {{\n{comparator}  ROOT e = pred[] compare(a, b), direction={direction}{kind}\n}}\n",
        )


def generators(cases):
    state = np.array([0x123456789ABCDEF0, 2**64 - 2, 77], np.uint64)
    for algorithm, words in (("rng_three_fry", 2), ("rng_philox", 3), ("rng_philox", 2), ("rng_default", 2)):
        for bits in ("u32[5]", "u32[3,4]", "u64[3]", "u8[5]", "u32[]", "u16[3,5]", "u64[2,2]", "u32[7,5,3]", "u32[9]"):
            cases.add(
                f"{algorithm} {bits}",
                f"(u64[{words}], {bits}) rng-bit-generator(p0), algorithm={algorithm}",
                [f"u64[{words}]"],
                [state[:words]],
            )


def main(folder):
    cases = Cases(folder)
    for section in (elementwise, conversions, reductions, windows, dots, convolutions, indexed, movement, generators):
        section(cases)
    (cases.folder / "index.json").write_text(json.dumps(cases.index, indent=1))


def stablehlo(folder):
    client = jax.extend.backend.get_backend("cpu")
    for entry in json.loads((folder / "index.json").read_text()):
        module = (folder / f"{entry['name']}.mlir").read_text()
        arrays = np.load(folder / f"{entry['name']}.arguments.npz")
        arguments = [arrays[f"arg{i}"].view(dtype) for i, dtype in enumerate(parameters(module))]
        save(folder / f"{entry['name']}.stablehlo.npz", execute(client, module.encode(), arguments))


def parameters(module):
    """Element types of the arguments."""
    computation = _jax.mlir.mlir_module_to_xla_computation(module, use_tuple_args=False, return_tuple=False)
    return [shape.numpy_dtype() for shape in computation.program_shape().parameter_shapes()]


if __name__ == "__main__":
    if sys.argv[2:] == ["stablehlo"]:
        stablehlo(Path(sys.argv[1]))
    else:
        main(sys.argv[1])

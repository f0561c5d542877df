"""XLA itself: HLO text, compiled and run by the XLA that comes with JAX, on the CPU.

JAX's compiler takes StableHLO. A module as a framework hands it over becomes StableHLO by XLA's own converter. An optimised
module has fusions, layouts and a place for every value, which StableHLO does not say: there, a stand-in of the same signature is
compiled, and XLA's hook for transformed modules puts the module in its place once the optimiser is done.

A partitioned module runs on as many devices of the host as it has partitions.
"""

import math
import os
import re

#: Devices of the host. Read when the backend starts.
DEVICES = 8

# Values have the width that the text says; maximum and minimum keep NaN.
FLAGS = f"--xla_force_host_platform_device_count={DEVICES} --xla_allow_excess_precision=false --xla_cpu_enable_fast_min_max=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.experimental.sparse  # noqa: F401: registers the calls that sparse products become
import numpy as np
from jax.extend import xla as hooks
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxlib import _hlo, _jax

# Nothing of a 64-bit array is lost on its way to a device.
jax.config.update("jax_enable_x64", True)

#: The optimised module that the next compilation has to run, if any.
_replacement = None


def _replaced(_module: bytes) -> bytes | None:
    global _replacement
    module, _replacement = _replacement, None
    return module


hooks.register_hlo_module_transformation(
    _replaced, name="hlo2dae-run-as-given", stage=hooks.PipelineStage.PRE_SCHEDULER, platforms="cpu"
)


def sentence(error: Exception) -> str:
    """The first lines of what XLA says, on one line; places in its own sources and spaces come and go."""
    text = " ".join(str(error).split("\n\n")[0].split())
    return re.sub(r"\[external/\S+ : \d+\] ", "", text)[:200]


def parse(text: str) -> bytes:
    """The module of an HLO text, serialised; XLA's own parser says what is wrong with it."""
    return _hlo.hlo_module_from_text(text).as_serialized_hlo_module_proto()


def signature_of(stablehlo: str):
    """Shapes of the parameters and the result of a module's entry."""
    return _jax.mlir.mlir_module_to_xla_computation(stablehlo, use_tuple_args=False, return_tuple=False).program_shape()


class Executable:
    """A compiled module. With ``stablehlo``, that text is compiled; the HLO text only says how it is partitioned."""

    def __init__(self, text: str, optimized: bool = False, stablehlo: str | None = None):
        global _replacement
        # The optimiser has split the parameters of an optimised module, which has the shapes of one partition.
        self._tiles = {} if optimized else _tilings(text)
        stated = re.search(r"num_partitions=(\d+)", text.split("\n", 1)[0])
        self.partitions = max([int(stated[1]) if stated else 1, *map(math.prod, self._tiles.values())])
        devices = jax.devices("cpu")[: self.partitions]
        if len(devices) < self.partitions:
            raise ValueError(f"{self.partitions} partitions, {len(devices)} devices")
        self._mesh = Mesh(np.array(devices), ("all",))
        options = _jax.CompileOptions()
        options.num_partitions = self.partitions
        options.device_assignment = _jax.DeviceAssignment.create(np.array([[device.id for device in devices]], np.int32))
        build = options.executable_build_options
        build.num_partitions = self.partitions
        build.device_assignment = options.device_assignment
        build.use_spmd_partitioning = build.use_shardy_partitioner = self.partitions > 1
        if stablehlo is None:
            module = parse(_untupled(re.sub(r"(, )?is_scheduled=true", "", text, count=1)) if optimized else text)
            signature = _hlo.XlaComputation(module).program_shape()
        else:
            signature = signature_of(stablehlo)
        self._shapes = [shape.dimensions() for shape in signature.parameter_shapes()]
        #: Element types of the parameters, as numpy has them.
        self.dtypes = [shape.numpy_dtype() for shape in signature.parameter_shapes()]
        if optimized:
            _replacement, module = module, parse(_stand_in(signature))
        if stablehlo is None:
            stablehlo = _jax.mlir.xla_computation_to_mlir_module(_hlo.XlaComputation(module))
        try:
            self._executable = devices[0].client.compile_and_load(
                stablehlo.encode() if isinstance(stablehlo, str) else stablehlo, _jax.DeviceList(tuple(devices)), options
            )
            if _replacement is not None:
                raise RuntimeError("XLA did not ask for the module")
        finally:
            _replacement = None

    def __call__(self, *arrays) -> list[list[np.ndarray]]:
        """For each result, what each partition has of it."""
        arguments = [jax.device_put(array, self._sharding(number, array)) for number, array in enumerate(arrays)]
        results = self._executable.execute_sharded(arguments).disassemble_into_single_device_arrays()
        return [[np.asarray(shard) for shard in shards] for shards in results]

    def _sharding(self, number: int, array) -> NamedSharding:
        parts = [whole // max(part, 1) for whole, part in zip(np.shape(array), self._shapes[number])]
        tiles = self._tiles.get(number, parts)
        return NamedSharding(self._mesh, PartitionSpec(*("all" if count > 1 else None for count in tiles)))


def _tilings(text: str) -> dict[int, list[int]]:
    """Of each parameter of the entry that is to be split: how many tiles each dimension has."""
    entry = text[text.rfind("\nENTRY") :]
    found = re.findall(r"parameter\((\d+)\).*?sharding=\{devices=\[([\d,]+)\]<=\[\d+\]\}", entry)
    return {int(number): [int(count) for count in tiles.split(",")] for number, tiles in found}


def _untupled(text: str) -> str:
    """The text with its result taken out of a tuple of one, which a function of StableHLO cannot give."""
    root = re.search(r"\n  ROOT %?\S+ = \((\w+\[[\d,]*\])(\S*)\) tuple\((?:\S+ )?%?([\w.-]+)\)[^\n]*", text[(entry := text.rfind("\nENTRY")) :])
    if not root:
        return text
    head, body = text[:entry], text[entry:].replace(root[0], "")
    body = re.sub(rf"\n  (%?{re.escape(root[3])} = )", r"\n  ROOT \1", body)
    unwrapped = re.compile(rf"->\s*\({re.escape(root[1])}(\S*?)\)(?=[ }}])")
    return unwrapped.sub(rf"->{root[1]}\1", head, count=1) + unwrapped.sub(rf"-> {root[1]}\1", body, count=1)


def _stand_in(program) -> str:
    """A module of the same signature."""
    results = program.result_shape().tuple_shapes() if program.result_shape().is_tuple() else [program.result_shape()]
    lines = [f"p{k} = {shape} parameter({k})" for k, shape in enumerate(program.parameter_shapes())]
    for k, shape in enumerate(results):
        element = str(shape).split("[")[0]
        lines.append(f"zero{k} = {element}[] constant({'(0, 0)' if element[0] == 'c' else 0})")
        lines.append(f"r{k} = {shape} broadcast(zero{k}), dimensions={{}}")
    if program.result_shape().is_tuple():
        lines.append(f"t = {program.result_shape()} tuple({', '.join(f'r{k}' for k in range(len(results)))})")
    lines[-1] = f"ROOT {lines[-1]}"
    return "HloModule stand_in\n\nENTRY main {\n  " + "\n  ".join(lines) + "\n}\n"

"""Whole JAX functions with their embedding regions run by hlo2dae.

A function becomes a primitive that carries the function's jaxpr. Its lowering for the CPU prints the jaxpr as HLO, compiles that, and
puts the module in which calls stand for the regions in the place of the primitive. Elsewhere, and where no region is found, the jaxpr
is lowered as it is. What is made of a function, its derivative or its mapped form, is a function of its own, whose regions are found
in the same way.
"""

import contextvars
import functools
import itertools
import warnings

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.interpreters import batching, mlir
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import func

from .._errors import Error, Unsupported
from .._module import Module, compile
from ._call import register

__all__ = ["explain", "jit"]

#: In the name of every custom call that is bound to a Python function of this process, which no text can carry.
_CALLBACK = "python_cpu_callback"

#: Whether a function is being printed whose regions are then looked for: functions within it are a part of it.
_printing = contextvars.ContextVar("hlo2dae_printing", default=False)


def jit(function=None, /, **options):
    """As ``jax.jit``, with the embedding regions of the function run by hlo2dae.

    ``options`` are those of ``jax.jit``; a decorator with options is ``hlo2dae.jax.jit(donate_argnums=0)``. The result may be
    called, differentiated in reverse mode, mapped, and used in other jitted functions.

    What hlo2dae cannot do yet stays with XLA, and a warning says why.
    """
    if function is None:
        return functools.partial(jit, **options)

    @functools.wraps(function)
    def with_regions(*args, **kwargs):
        # `jax.jit` has made a tracer of every argument that it does not hold for static.
        leaves, tree = jax.tree.flatten((args, kwargs))
        traced = [isinstance(leaf, jax.core.Tracer) for leaf in leaves]

        def of_arrays(arrays):
            arrays = iter(arrays)
            args, kwargs = jax.tree.unflatten(tree, [next(arrays) if array else leaf for array, leaf in zip(traced, leaves)])
            return function(*args, **kwargs)

        return _run(of_arrays, [leaf for array, leaf in zip(traced, leaves) if array])

    return jax.jit(with_regions, **options)


def explain(function, *args, **kwargs) -> Module:
    """The compiled module of a function on arguments such as these: its regions, and by ``emit`` its text at every stage."""
    return compile(_hlo(jax.jit(function), args, kwargs))


def _hlo(jitted, args, kwargs={}) -> str:
    """HLO as JAX hands it to XLA, without any call of ours."""
    token = _printing.set(True)
    try:
        return jitted.trace(*args, **kwargs).lower(lowering_platforms=("cpu",)).as_text("hlo")
    finally:
        _printing.reset(token)


def _run(function, *arguments):
    """A function of arrays in trees, with its regions and those of its derivative."""
    leaves, tree = jax.tree.flatten(arguments)
    closed, shape = jax.make_jaxpr(lambda *leaves: function(*jax.tree.unflatten(tree, leaves)), return_shape=True)(*leaves)
    # What the function closes over is an argument like the others: it may be large, or a tracer.
    constants = len(closed.consts)

    def evaluate(*arrays):
        return jax.core.eval_jaxpr(closed.jaxpr, arrays[:constants], *arrays[constants:])

    run = jax.custom_vjp(functools.partial(_bind, evaluate))
    run.defvjp(*_derivative(evaluate), symbolic_zeros=True)
    return jax.tree.unflatten(jax.tree.structure(shape), run(*closed.consts, *leaves))


def _derivative(function):
    """What is computed beside the results, and what is made of it when the cotangents are known."""

    def forward(*primals):
        arrays = [primal.value for primal in primals]
        perturbed = [primal.perturbed for primal in primals]

        def with_derivative(arrays):
            def of_perturbed(*chosen):
                return function(*_merged(perturbed, chosen, arrays))

            return jax.vjp(of_perturbed, *itertools.compress(arrays, perturbed))

        results, derivative = _run(with_derivative, arrays)
        # What is no array has to be in the form of the residuals: a leaf would be traced.
        return results, (derivative, [() if one else None for one in perturbed])

    def backward(residuals, cotangents):
        derivative, form = residuals
        perturbed = [one is not None for one in form]
        given = [not isinstance(cotangent, SymbolicZero) for cotangent in cotangents]

        def transposed(derivative, chosen):
            zeros = [None if one else _zeros(cotangent) for one, cotangent in zip(given, cotangents)]
            return derivative(_merged(given, chosen, zeros))

        if not any(given):
            return (None,) * len(perturbed)
        gradients = _run(transposed, derivative, list(itertools.compress(cotangents, given)))
        return tuple(_merged(perturbed, gradients, [None] * len(perturbed)))

    return forward, backward


def _merged(chosen, ours, others) -> list:
    """``others``, with the next of ``ours`` wherever ``chosen``."""
    ours = iter(ours)
    return [next(ours) if one else other for one, other in zip(chosen, others)]


def _zeros(aval):
    if aval.dtype == jax.dtypes.float0:
        return np.zeros(aval.shape, jax.dtypes.float0)
    return jnp.zeros(aval.shape, aval.dtype)


_regions_p = jax.extend.core.Primitive("hlo2dae")
_regions_p.multiple_results = True


def _bind(function, *arrays):
    """A function of arrays as the primitive. A result that is an argument does not pass through it, which would copy it."""
    closed = jax.make_jaxpr(function)(*arrays)
    jaxpr = closed.jaxpr
    places = {variable: place for place, variable in enumerate(jaxpr.invars)}
    passed = [None if isinstance(out, jax.extend.core.Literal) else places.get(out) for out in jaxpr.outvars]
    computed = [place is None for place in passed]
    results = []
    if any(computed):
        kept = jax.make_jaxpr(lambda *arrays: list(itertools.compress(jax.extend.core.jaxpr_as_fun(closed)(*arrays), computed)))(*arrays)
        results = _regions_p.bind(*arrays, jaxpr=kept)
    return _merged(computed, results, [place if place is None else arrays[place] for place in passed])


@_regions_p.def_impl
def _evaluated(*arrays, jaxpr):
    return jax.jit(functools.partial(_regions_p.bind, jaxpr=jaxpr))(*arrays)


@_regions_p.def_abstract_eval
def _types(*_avals, jaxpr):
    return jaxpr.out_avals


def _mapped(arrays, axes, *, jaxpr):
    results = _bind(jax.vmap(jax.extend.core.jaxpr_as_fun(jaxpr), axes), *arrays)
    return results, [0] * len(results)


batching.primitive_batchers[_regions_p] = _mapped


def _as_it_is(context, *operands, jaxpr):
    return mlir.lower_fun(jax.extend.core.jaxpr_as_fun(jaxpr), multiple_results=True)(context, *operands)


def _with_calls(context, *operands, jaxpr):
    text = None if _printing.get() else _outlined(jaxpr)
    if text is None:
        return _as_it_is(context, *operands, jaxpr=jaxpr)
    module = ir.Module.parse(text, context.module_context.context)
    [main] = [each for each in module.body.operations if each.attributes["sym_name"].value == "main"]
    types = main.type.results
    name = mlir.merge_mlir_modules(context.module_context.module, "hlo2dae", module, dst_symtab=context.module_context.symbol_table)
    return func.CallOp(types, ir.FlatSymbolRefAttr.get(name), operands).results


mlir.register_lowering(_regions_p, _as_it_is)
mlir.register_lowering(_regions_p, _with_calls, platform="cpu")


def _outlined(jaxpr) -> str | None:
    """StableHLO in which calls stand for the regions, if there are any."""
    register()
    function = jax.jit(jax.extend.core.jaxpr_as_fun(jaxpr), keep_unused=True)
    types = [jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type) for aval in jaxpr.in_avals]
    try:
        if jaxpr.effects:
            raise Unsupported(f"it has effects, {', '.join(map(str, jaxpr.effects))}, whose order XLA has to keep")
        text = _hlo(function, types)
        if _CALLBACK in text:
            raise Unsupported("it calls back into Python")
        module = compile(text)
        return module.emit("stablehlo") if module.regions else None
    except Error as error:
        warnings.warn(f"hlo2dae leaves a function to XLA: {error}", stacklevel=2)
        return None

"""What a model is, and the list of all of them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

MODELS: dict[str, "Model"] = {}


@dataclasses.dataclass(frozen=True)
class Model:
    """A function of a framework and the shapes of its arguments."""

    name: str
    framework: str
    function: Callable
    #: Argument name to (element type in numpy's spelling, dimensions), in the order of the function's parameters.
    arguments: Mapping[str, tuple[str, Sequence[int]]]
    #: Whether to print what the framework's compiler made of it instead of what went in.
    optimized: bool
    #: Whether JAX keeps 64-bit types.
    x64: bool


def model(framework, name, optimized=False, x64=False, **arguments):
    """Registers the decorated function as the model `name`."""

    def register(function):
        if name in MODELS:
            raise ValueError(f"two models are called {name}")
        MODELS[name] = Model(name, framework, function, arguments, optimized, x64)
        return function

    return register

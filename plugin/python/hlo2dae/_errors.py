"""Exceptions. Each is also the built-in exception that a caller would expect."""


class Error(Exception):
    """Something went wrong in hlo2dae."""

    # AutoGraph keeps the type of an exception that is raised while tf.function traces only if the type is
    # made like `Exception`; `ValueError` and the others have constructors of their own.
    __init__ = Exception.__init__


class InvalidArgument(Error, ValueError):
    """The input is wrong: a text, a shape, an element type, a name."""


class Unsupported(Error, NotImplementedError):
    """The input is right, and hlo2dae cannot do it yet."""


class InternalError(Error, RuntimeError):
    """A bug of hlo2dae."""


BY_CODE = {1: InvalidArgument, 2: Unsupported, 3: InternalError}

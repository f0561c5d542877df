"""What the ready operations of every framework ask of their arguments.

An array is what has a ``shape``, an ``ndim`` and a ``dtype`` with a name. Each function raises `InvalidArgument` unless all is right.
"""

from ._errors import InvalidArgument

COMBINERS = ("sum", "mean", "max")


def check_name(what: str, name: str, names) -> None:
    """``name`` is one of the ``names``."""
    if name not in names:
        raise InvalidArgument(f"unknown {what} {name!r}: expected one of {', '.join(names)}")


def check_indices(what: str, array, rank: int | None = None) -> None:
    """The array holds integers, and has so many dimensions."""
    if not array.dtype.name.startswith(("int", "uint")):
        raise InvalidArgument(f"wrong element type of {what}: expected integers, found {array.dtype.name}")
    if rank is not None and array.ndim != rank:
        raise InvalidArgument(f"wrong rank of {what}: expected {rank}, found {array.ndim}")


def check_shape(what: str, array, expected, of: str = "") -> None:
    """The array has the expected shape; ``of`` says whose that is."""
    if array.shape != expected:
        raise InvalidArgument(f"wrong shape of {what}: expected {of}{expected}, found {array.shape}")


def check_bags(indices, weights, segment_ids, offsets, num_bags, combiner: str) -> None:
    """The arguments of an embedding bag say what is in which bag, and fit one another."""
    check_indices("indices", indices)
    check_name("combiner", combiner, COMBINERS)
    if weights is not None:
        check_shape("weights", weights, indices.shape, "that of the indices, ")
        if combiner == "max":
            raise InvalidArgument("a maximum takes no weights: expected combiner sum or mean")
    if offsets is not None:
        if segment_ids is not None or num_bags is not None:
            raise InvalidArgument("bags are given by offsets, or by segment_ids and num_bags: found both")
        check_indices("offsets", offsets, rank=1)
        check_indices("indices", indices, rank=1)
    elif segment_ids is not None:
        check_indices("segment_ids", segment_ids, rank=1)
        if num_bags is None:
            raise InvalidArgument("segment_ids need num_bags")
        check_shape("segment_ids", segment_ids, indices.shape, "that of the indices, ")
    elif indices.ndim != 2:
        raise InvalidArgument(f"wrong rank of indices: expected a matrix, or segment_ids or offsets, found {indices.shape}")


def check_updates(operand, indices, updates) -> None:
    """There is an update of a whole row for each index."""
    check_indices("indices", indices)
    check_shape("updates", updates, indices.shape + operand.shape[1:])


def check_sparse(columns, rows, indptr, num_rows) -> None:
    """The places of a sparse matrix are given in one of the two ways."""
    check_indices("columns", columns, rank=1)
    if (rows is None) == (indptr is None):
        raise InvalidArgument("a sparse matrix has either rows (COO) or indptr (CSR)")
    if indptr is not None:
        check_indices("indptr", indptr, rank=1)
    elif num_rows is None:
        raise InvalidArgument("rows need num_rows")

"""Small embedding work that the tests of both frameworks' functions share."""

import numpy as np

TABLE = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
IDS = np.random.default_rng(1).integers(0, 50, (6, 4)).astype(np.int32)
WEIGHTS = np.random.default_rng(2).random((6, 4), np.float32)
SEGMENTS = np.sort(np.random.default_rng(3).integers(0, 7, 24)).astype(np.int32)
OFFSETS = np.array([0, 3, 3, 10, 24], np.int32)

#: How bags are given: the shape of the indices and of their weights, the bag of each, the number of bags, and the arguments that say so.
FORMS = {
    "fixed": ((6, 4), np.repeat(np.arange(6), 4), 6, {}),
    "segments": ((24,), SEGMENTS, 8, {"segment_ids": SEGMENTS, "num_bags": 8}),
    "offsets": ((24,), np.searchsorted(OFFSETS, np.arange(24), side="right") - 1, 5, {"offsets": OFFSETS}),
}

#: The places of a sparse matrix of eight rows and fifty columns.
SPARSE = {
    "rows": {"rows": SEGMENTS, "num_rows": 8},
    "indptr": {"indptr": np.searchsorted(SEGMENTS, np.arange(9)).astype(np.int32)},
}

#: Wrong uses of a framework's operations, and what is said of each.
MISTAKES = [
    (lambda ops: ops.gather(TABLE, WEIGHTS), "wrong element type of indices: expected integers, found float32"),
    (lambda ops: ops.embedding_bag(TABLE, IDS, combiner="prod"), "unknown combiner 'prod': expected one of sum, mean, max"),
    (lambda ops: ops.embedding_bag(TABLE, IDS.ravel()), "wrong rank of indices: expected a matrix"),
    (lambda ops: ops.embedding_bag(TABLE, IDS, offsets=OFFSETS), "wrong rank of indices: expected 1, found 2"),
    (lambda ops: ops.embedding_bag(TABLE, IDS.ravel(), offsets=IDS), "wrong rank of offsets: expected 1, found 2"),
    (lambda ops: ops.embedding_bag(TABLE, IDS.ravel(), offsets=OFFSETS, num_bags=5), "by offsets, or by segment_ids and num_bags: found both"),
    (lambda ops: ops.embedding_bag(TABLE, IDS, weights=WEIGHTS[0]), r"wrong shape of weights: expected that of the indices, \(6, 4\), found \(4,\)"),
    (lambda ops: ops.embedding_bag(TABLE, IDS, weights=WEIGHTS, combiner="max"), "a maximum takes no weights"),
    (lambda ops: ops.embedding_bag(TABLE, IDS.ravel(), segment_ids=SEGMENTS), "segment_ids need num_bags"),
    (
        lambda ops: ops.embedding_bag(TABLE, IDS.ravel(), segment_ids=SEGMENTS[1:], num_bags=8),
        r"wrong shape of segment_ids: expected that of the indices, \(24,\), found \(23,\)",
    ),
    (lambda ops: ops.scatter_add(TABLE, IDS[0], TABLE), r"wrong shape of updates: expected \(4, 8\), found \(50, 8\)"),
    (lambda ops: ops.spmm(WEIGHTS.ravel(), IDS.ravel(), TABLE), "either rows"),
    (lambda ops: ops.spmm(WEIGHTS.ravel(), IDS.ravel(), TABLE, rows=SEGMENTS), "rows need num_rows"),
]

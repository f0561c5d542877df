"""Programs that the tests put into custom calls, and the numbers that they are held to."""

import numpy as np

#: A pooled embedding bag; ids outside of the table are clamped.
EMBEDDING_BAG = """\
region @embedding_bag {
  input %table: f32[50,8]
  input %ids: s32[6,4]
  output %out: f32[6,8] = 0.0
  nest (%b = 6, %l = 4, %d = 8) {
    %id = read %ids[%b, %l]
    %row = index %id {clamp 0..49}
    %x = read %table[%row, %d]
    combine add %out[%b, %d], %x
  }
}
"""

#: The same ids looked up in two tables: two outputs, one of them of another type.
TWO_TABLES = """\
region @two_tables {
  input %left: f32[50,8]
  input %right: s32[50]
  input %ids: s32[6]
  output %rows: f32[6,8]
  output %labels: s32[6]
  nest (%i = 6, %d = 8) {
    %id = read %ids[%i]
    %row = index %id {clamp 0..49}
    %x = read %left[%row, %d]
    combine replace %rows[%i, %d], %x
  }
  nest (%i = 6) {
    %id = read %ids[%i]
    %row = index %id {clamp 0..49}
    %x = read %right[%row]
    combine replace %labels[%i], %x
  }
}
"""


#: Rows of a table of each element type that numpy and both frameworks have.
ELEMENTS = {
    "bool": "bool",
    "int8": "s8",
    "int16": "s16",
    "int32": "s32",
    "int64": "s64",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float64": "f64",
}


def gather(element: str) -> str:
    """Rows of a table of the given element type."""
    return f"""\
region @gather {{
  input %table: {element}[9,3]
  input %ids: s32[5]
  output %out: {element}[5,3]
  nest (%i = 5, %d = 3) {{
    %id = read %ids[%i]
    %row = index %id {{clamp 0..8}}
    %x = read %table[%row, %d]
    combine replace %out[%i, %d], %x
  }}
}}
"""


#: Ranks and sizes at the edge: a program, its arguments from `small_table`, and what numpy says.
EDGES = {
    "a scalar input": (
        """\
region @one_row {
  input %table: f32[9,3]
  input %id: s32[]
  output %out: f32[3]
  nest (%d = 3) {
    %i = read %id[]
    %row = index %i {clamp 0..8}
    %x = read %table[%row, %d]
    combine replace %out[%d], %x
  }
}
""",
        lambda table: (table, np.int32(4)),
        lambda table: table[4],
    ),
    "a scalar output": (
        """\
region @total {
  input %table: f32[9,3]
  output %out: f32[] = 0.0
  nest (%i = 9, %d = 3) {
    %x = read %table[%i, %d]
    combine add %out[], %x
  }
}
""",
        lambda table: (table,),
        lambda table: table.sum(),
    ),
    "no elements": (
        """\
region @no_rows {
  input %table: f32[9,3]
  input %ids: s32[0]
  output %out: f32[0,3]
  nest (%i = 0, %d = 3) {
    %id = read %ids[%i]
    %row = index %id {clamp 0..8}
    %x = read %table[%row, %d]
    combine replace %out[%i, %d], %x
  }
}
""",
        lambda table: (table, np.zeros(0, np.int32)),
        lambda table: np.zeros((0, 3), np.float32),
    ),
    "one array as two inputs": (
        """\
region @self_gather {
  input %left: f32[9,3]
  input %right: f32[9,3]
  output %out: f32[9,3]
  nest (%i = 9, %d = 3) {
    %x = read %left[%i, %d]
    %y = read %right[%i, %d]
    %z = add %x, %y
    combine replace %out[%i, %d], %z
  }
}
""",
        lambda table: (table, table),
        lambda table: table + table,
    ),
}


def small_table():
    """What the arguments of `EDGES` are made from."""
    return np.arange(27, dtype=np.float32).reshape(9, 3)


def table_and_ids(seed: int = 0):
    """Arguments of `EMBEDDING_BAG`; some ids are outside of the table."""
    random = np.random.default_rng(seed)
    table = random.integers(-8, 8, (50, 8)).astype(np.float32)
    ids = random.integers(-5, 55, (6, 4)).astype(np.int32)
    return table, ids

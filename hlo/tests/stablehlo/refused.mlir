error: main/o: parameter: StableHLO has no type for opaque[]
error: main/s: stochastic-convert: StableHLO has no such operation
error: main/json: custom-call: StableHLO needs a dictionary of attributes, `{key = value}`, found {"a": 1}
error: main/conv: custom-call: StableHLO's operation cannot say `feature_group_count`
error: main/state: rng-get-and-update-state: StableHLO has no such operation
error: main/factors: convolution: StableHLO needs operands of one type, found f8e8m0fnu, pred
error: main/mixed: scatter: StableHLO needs parameters of the computation of its results' types, found others
error: main/fed: infeed: StableHLO needs static dimensions, found f32[<=4]{0}
error: main/arrays: all-reduce: StableHLO needs a computation of scalars, found one of arrays
error: main/cube: reshape: StableHLO needs at most one dynamic dimension, found 2
error: main/cast: bitcast: StableHLO needs no truth values, found pred[4]{0}

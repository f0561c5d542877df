error: main/o: parameter: StableHLO has no type for opaque[]
error: main/s: stochastic-convert: StableHLO has no such operation
error: main/json: custom-call: StableHLO needs a dictionary of attributes, `{key = value}`, found {"a": 1}
error: main/conv: custom-call: StableHLO's operation cannot say `feature_group_count`
error: main/state: rng-get-and-update-state: StableHLO has no such operation
error: main/factors: convolution: StableHLO needs operands of one type, found f8e8m0fnu, pred
error: main/mixed: scatter: StableHLO needs parameters of the computation of its results' types, found others

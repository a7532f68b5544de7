"""From pictures and boxes to model input: crops, skin weights, traces on a uniform clock."""

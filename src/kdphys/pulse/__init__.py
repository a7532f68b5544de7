"""From traces and clips to the pulse: one protocol for every method."""

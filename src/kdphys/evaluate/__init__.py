"""How good a measurement is: metrics, the two protocols of the field and of this project, reports."""

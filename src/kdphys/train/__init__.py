"""Training: one configuration, one task for every model, distillation from a frozen teacher, exact resume."""

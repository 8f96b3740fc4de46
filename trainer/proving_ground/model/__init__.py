"""The network: a shared backbone and neck with a head for each task, its losses and predictions."""

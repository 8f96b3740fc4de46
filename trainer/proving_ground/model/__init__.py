"""The network: a shared backbone and neck with a head for each task, its targets, losses and predictions."""

"""Manifests become tensors: reading, checking, sharding and augmenting frames."""

"""Manifests become tensors: reading, importing, generating and augmenting frames."""

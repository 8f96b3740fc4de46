"""A run.json and a dataset become a trained, exported and measured perception model."""

"""Predicted and labelled boxes become average precision: matched once, then scored on any frames and resamples."""

"""Formats that people have become datasets: importers, and what they share."""

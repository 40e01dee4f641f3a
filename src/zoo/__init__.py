"""Weights by a name or by their file, and the configuration that goes with them. No MindSpore here."""

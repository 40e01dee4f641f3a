"""Weights by a name or by their file, and the configuration that goes with them. No MindSpore here."""

PREFIX = "zoo:"  # how a name begins where a path could stand

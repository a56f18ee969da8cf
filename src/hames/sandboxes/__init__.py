"""Boundaries that the kernel enforces, and the launcher that runs commands in them."""

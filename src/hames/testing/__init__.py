"""Scripted models, fakes, a virtual clock and conformance suites; shipped as product code."""

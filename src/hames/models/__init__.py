"""Model wires, transport and profiles."""

"""A long life: many turns, crash and resume."""

"""One turn: assemble, ask, act, record, shrink."""

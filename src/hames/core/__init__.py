"""Values and seams: ids, messages, events, ports, errors, limits. No I/O."""

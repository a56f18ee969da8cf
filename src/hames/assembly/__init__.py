"""Settings, and the parts list that builds everything."""

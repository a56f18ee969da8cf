"""Where people and systems meet the agent."""

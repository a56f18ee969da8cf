"""The workspace as it was, and how it is brought back."""

"""What may be done, decided."""

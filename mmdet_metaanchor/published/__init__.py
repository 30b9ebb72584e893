"""The rules of other anchor systems, by their names."""

"""`make demo`: two trained twins, their comparison, and its report."""

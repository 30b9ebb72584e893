"""MetaAnchor heads, a file for each family of detectors."""

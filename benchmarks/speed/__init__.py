"""Time, memory and operations of detectors, and of their parts."""

"""Assigners and coders beside MMDetection's own: time and memory."""

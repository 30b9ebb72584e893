"""Choosing anchors for a trained model."""

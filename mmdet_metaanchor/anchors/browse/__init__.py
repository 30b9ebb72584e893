"""Browsing anchors: where they lie, what they detect and are matched with."""

from .job import browse_anchors
from .matches import browse_matches

__all__ = ['browse_anchors', 'browse_matches']

"""Browsing anchors: pictures of where they lie and what they detect."""

from .job import browse_anchors

__all__ = ['browse_anchors']

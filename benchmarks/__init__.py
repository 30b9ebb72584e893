"""What the figures of this project were measured with; not installed."""

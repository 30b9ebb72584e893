"""Data to train on: the embedded digits, and folders in COCO format."""

"""Boxes of other programs to COCO JSON: VOC's XML, YOLO's text, tables."""

from .images import ImageFolder
from .table import read_table
from .voc import read_voc
from .write import WrongFiles, write_coco
from .yolo import read_class_list, read_yolo

__all__ = [
    'ImageFolder',
    'WrongFiles',
    'read_class_list',
    'read_table',
    'read_voc',
    'read_yolo',
    'write_coco',
]

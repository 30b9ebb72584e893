"""What a page shows of a session."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..anchors.browse.views import cell_anchors
from ..anchors.cover import summarise_cover
from ..anchors.drawing import above_threshold
from . import pictures
from .rows import Row
from .session import MOST_IMAGES, Score, Session


class View(NamedTuple):
    """What depends on anchors: two pictures and two tables in HTML."""

    found: np.ndarray
    anchors: np.ndarray
    brings: str
    coverage: str


def look(
    session: Session,
    picture: Path,
    rows: Sequence[Row],
    chosen: int | None,
    threshold: float,
) -> View:
    """What anchors do on an image, and on the boxes of the data set.

    Args:
        session (Session): The detector.
        picture (Path): The image.
        rows (Sequence[Row]): The anchors.
        chosen (int, optional): Index of the row to mark.
        threshold (float): Detections are shown whose score is above it.
    """
    found = above_threshold(session.detect(picture, rows), threshold)
    seen = session.see(picture)
    cell = cell_anchors(
        session.build(rows),
        seen.meta['img_shape'],
        seen.meta['scale_factor'],
    )
    best, table = None, ''
    if session.truth is not None:
        cover, best = session.cover(rows)
        groups = summarise_cover(session.truth.part, cover)
        table = pictures.coverage(groups, len(session.truth.boxes.boxes))
    return View(
        pictures.draw_found(seen.image, found, session.classes),
        pictures.draw_anchors(
            seen.image, cell, session.levels.owners(rows), chosen
        ),
        pictures.contributions(
            rows,
            Counter(found.anchors.tolist()),
            session.beyond(rows),
            session.head.box_function == 'published',
            best,
            chosen,
        ),
        table,
    )


def draw_truth(session: Session, picture: Path) -> np.ndarray | None:
    """The boxes of an image, where they are known."""
    boxes = None if session.truth is None else session.truth.of(picture)
    if boxes is None:
        return None
    image = session.see(picture).image
    return pictures.draw_found(image, boxes, session.truth.classes)


def headline(session: Session) -> str:
    """What is looked at, in Markdown."""
    name = Path(session.cfg.filename).stem
    strides = ', '.join(session.levels.names)
    text = f'## Anchors of {name}\nLevels of stride {strides} px. '
    if session.proposes:
        text += (
            'Shown are the proposals of the RPN, which have no class; a '
            'second stage is not run.'
        )
    return text


def score_button(session: Session) -> str:
    """What the button that scores says."""
    kind = 'AR@100 of the proposals' if session.proposes else 'mAP'
    return f'{kind} of these anchors on up to {MOST_IMAGES} annotated images'


def score_line(score: Score, rows: Sequence[Row]) -> str:
    """A score in a line of Markdown."""
    sizes = ', '.join(
        f'{row.level}: {row.width:.0f} × {row.height:.0f}' for row in rows[:9]
    )
    more = ', ...' if len(rows) > 9 else ''
    return (
        f'- **{score.metric} {100 * score.value:.1f} %** on {score.images} '
        f'images with {len(rows)} anchors ({sizes}{more})'
    )

"""What lies where on the page."""

import gradio as gr

from . import views
from .rows import ALL, Row
from .session import GRIDS, Session

CSS = """
.contributions, .coverage {border-collapse: collapse; font-size: 0.9em}
.contributions td, .contributions th, .coverage td, .coverage th {
    padding: 1px 10px; text-align: left; white-space: nowrap}
.contributions b {padding: 0 6px; border-radius: 4px}
.contributions i {display: inline-block; height: 0.7em; margin-right: 6px}
.contributions .chosen {background: var(--background-fill-secondary);
    font-weight: bold}
"""
HEADERS = ['level', 'width', 'height']
# Of the sliders; a chosen anchor beyond widens them.
MOST_SCALE, MOST_RATIO = 16, 8


def cells(rows: list[Row]) -> list[list[str]]:
    """Rows as the table shows them."""
    return [
        [row.level, f'{row.width:.10g}', f'{row.height:.10g}'] for row in rows
    ]


def numbers(rows: list[Row]) -> list[str]:
    """What the anchors are called, from 1."""
    return [str(number) for number in range(1, len(rows) + 1)]


class Layout:
    """The components of a page, made in the ``gr.Blocks`` of now.

    Args:
        session (Session): The detector and its images.
    """

    def __init__(self, session: Session) -> None:
        gr.Markdown(views.headline(session))
        self.picture = gr.State(session.images[0])
        with gr.Row():
            with gr.Column(scale=3, min_width=480):
                self._images(session)
            with gr.Column(scale=2, min_width=400):
                self._sources(session)
                self._anchors(session)
        with gr.Tabs():
            self._tabs(session)

    def _images(self, session: Session) -> None:
        names = [path.name for path in session.images]
        with gr.Row():
            self.name = gr.Dropdown(
                names, value=names[0], type='index', label='image'
            )
            self.upload = gr.UploadButton(
                'Another image', file_types=['image'], size='md'
            )
        with gr.Row():
            self.found = gr.Image(
                label='detections, by anchor',
                interactive=False,
                elem_id='found',
            )
            self.truth = gr.Image(
                label='truth',
                interactive=False,
                visible=session.truth is not None,
            )
        self.threshold = gr.Slider(
            0, 1, 0.3, step=0.01, label='show scores above'
        )
        self.brings = gr.HTML(elem_id='brings')

    def _sources(self, session: Session) -> None:
        with gr.Row():
            self.trained = gr.Button('As trained', size='sm')
            self.grids = {name: gr.Button(name, size='sm') for name in GRIDS}
            self.load = gr.UploadButton(
                'Anchors file', file_types=['.json'], size='sm'
            )
        with gr.Row():
            self.number = gr.Slider(
                1, 15, 5, step=1, label='clusters per level'
            )
            self.cluster = gr.Button(
                'Clusters of the boxes',
                size='sm',
                visible=session.truth is not None,
            )
            self.cluster_file = gr.UploadButton(
                'Clusters of a COCO JSON',
                file_types=['.json'],
                size='sm',
            )

    def _anchors(self, session: Session) -> None:
        levels, rows = session.levels, session.rows_of()
        scale, ratio = levels.scale_and_ratio(rows[0])
        lowest = f'{min(levels.strides):g}'
        self.table = gr.Dataframe(
            cells(rows),
            headers=HEADERS,
            datatype='str',
            type='array',
            column_limits=(3, 3),
            interactive=True,
            show_row_numbers=True,
            max_height=260,
            label=f'anchors: level ({ALL} or a stride), width and '
            f'height in px of the resized image; {ALL}: those at '
            f'stride {lowest}, growing with the stride',
            elem_id='table',
        )
        with gr.Row():
            self.add = gr.Button('Add a copy', size='sm')
            self.remove = gr.Button('Remove', size='sm')
        with gr.Row():
            self.chosen = gr.Dropdown(
                numbers(rows),
                value='1',
                type='index',
                label='chosen anchor',
                elem_id='chosen',
            )
            self.level = gr.Dropdown(
                levels.choices, value=rows[0].level, label='level'
            )
        self.scale = gr.Slider(
            0.1,
            MOST_SCALE,
            scale,
            step=0.01,
            label='scale: size in strides, the root of the area',
            elem_id='scale',
        )
        self.ratio = gr.Slider(
            0.1,
            MOST_RATIO,
            ratio,
            step=0.01,
            label='ratio: height / width',
            elem_id='ratio',
        )
        self.anchors = gr.Image(
            label='anchors of the cells at the middle',
            interactive=False,
        )

    def _tabs(self, session: Session) -> None:
        with gr.Tab('Coverage', visible=session.truth is not None):
            self.coverage = gr.HTML(elem_id='coverage')
            self.draw_cover = gr.Button('Draw boxes and anchors', size='sm')
            self.cover = gr.Image(
                label='boxes by width and height', interactive=False
            )
        with gr.Tab('Score', visible=session.truth is not None):
            self.run = gr.Button(views.score_button(session))
            self.scores = gr.Markdown(elem_id='scores')
            self.past = gr.State([])
        with gr.Tab('Save'):
            self.save = gr.Button('Anchors file for the tools')
            self.saved = gr.File(label='anchors file', elem_id='saved')
            self.bake = gr.Button(
                'Stock checkpoint with these anchors, and its config'
            )
            self.baked = gr.File(label='checkpoint and config')

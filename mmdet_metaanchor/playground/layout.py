"""What lies where on the page."""

import gradio as gr

from . import views
from .rows import ALL, Row
from .session import Session
from .sources import GRIDS

CSS = """
.contributions, .coverage {border-collapse: collapse; font-size: 0.9em}
.contributions td, .contributions th, .coverage td, .coverage th {
    padding: 1px 8px; text-align: left}
.contributions td, .coverage td {white-space: nowrap}
.contributions b {padding: 0 6px; border-radius: 4px}
#brings {overflow: auto; max-height: 420px}
#brings p {font-size: 0.8em; margin-top: 4px}
.contributions i {display: inline-block; height: 0.7em; margin-right: 6px}
.contributions .chosen {background: var(--background-fill-secondary);
    font-weight: bold}
"""
HEADERS = ['level', 'width', 'height']
# Of the sliders; a chosen anchor beyond widens them.
LEAST, MOST_SCALE, MOST_RATIO = 0.1, 16, 8


def as_texts(rows: list[Row]) -> list[list[str]]:
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
            with gr.Column(scale=5, min_width=560):
                self._images(session)
            with gr.Column(scale=3, min_width=420):
                self._sources(session)
                self._table(session)
                self._chosen(session)
        with gr.Tabs():
            self._tabs(session)

    def _images(self, session: Session) -> None:
        names = [path.name for path in session.images]
        if len(set(names)) < len(names):
            names = [str(path) for path in session.images]
        with gr.Row():
            self.name = gr.Dropdown(
                names, value=names[0], type='index', label='image', scale=2
            )
            self.threshold = gr.Slider(
                0, 1, 0.3, step=0.01, label='show scores above', scale=2
            )
            self.upload = _upload('Another image', 'image')
        with gr.Row():
            with gr.Column(min_width=250):
                gr.Markdown('**Detections**, in the colours of their anchors')
                self.found = _image('found')
            with gr.Column(min_width=250, visible=session.truth is not None):
                gr.Markdown('**Truth**, in the colours of the classes')
                self.truth = _image('truth')
        with gr.Row():
            with gr.Column(min_width=250):
                gr.Markdown('**What each anchor brings** to this image')
                self.brings = gr.HTML(elem_id='brings')
            with gr.Column(min_width=250):
                gr.Markdown('**Anchors** of the cells at the middle')
                self.anchors = _image('anchors')

    def _sources(self, session: Session) -> None:
        gr.Markdown('**Take anchors** from')
        with gr.Row():
            self.trained = _button('training')
            self.grids = {name: _button(name) for name in GRIDS}
            self.load = _upload('a file', '.json')
        with gr.Row():
            self.number = gr.Slider(
                1, 15, 5, step=1, label='clusters per level', scale=2
            )
            with gr.Column(min_width=150):
                self.cluster = _button(
                    'clusters of the truth', visible=session.truth is not None
                )
                self.cluster_file = _upload('clusters of a COCO JSON', '.json')

    def _table(self, session: Session) -> None:
        lowest = f'{min(session.levels.strides):g}'
        gr.Markdown(
            '**Anchors**, width and height in px of the resized image. The '
            f'level is a stride, or {ALL}: sides are those at stride '
            f'{lowest}, and grow with the stride.'
        )
        self.table = gr.Dataframe(
            as_texts(session.sources.rows_of()),
            headers=HEADERS,
            datatype='str',
            type='array',
            interactive=True,
            show_row_numbers=True,
            max_height=280,
            buttons=[],
            elem_id='table',
        )
        with gr.Row():
            self.add = _button('Add a copy of the chosen one')
            self.remove = _button('Remove the chosen one')

    def _chosen(self, session: Session) -> None:
        first, *_ = rows = session.sources.rows_of()
        scale, ratio = session.levels.scale_and_ratio(first)
        with gr.Row():
            self.chosen = gr.Dropdown(
                numbers(rows),
                value='1',
                type='index',
                label='chosen anchor',
                elem_id='chosen',
                min_width=100,
            )
            self.level = gr.Dropdown(
                session.levels.choices,
                value=first.level,
                label='its level',
                elem_id='level',
                min_width=100,
            )
        self.scale = gr.Slider(
            LEAST,
            MOST_SCALE,
            scale,
            step=0.01,
            label='its scale: the root of its area, in strides',
            elem_id='scale',
        )
        self.ratio = gr.Slider(
            LEAST,
            MOST_RATIO,
            ratio,
            step=0.01,
            label='its ratio: height / width',
            elem_id='ratio',
        )

    def _tabs(self, session: Session) -> None:
        known = session.truth is not None
        with gr.Tab('Save'), gr.Row():
            with gr.Column():
                self.save = gr.Button('Anchors file, for --anchors of a tool')
                self.saved = _file('saved')
            with gr.Column():
                self.bake = gr.Button(
                    'Stock checkpoint with these anchors, and its config'
                )
                self.baked = _file('baked')
        with gr.Tab('Coverage', visible=known), gr.Row():
            with gr.Column():
                self.coverage = gr.HTML(elem_id='coverage')
            with gr.Column():
                self.draw_cover = _button('Draw boxes and anchors')
                self.cover = _image('cover')
        with gr.Tab('Score', visible=known):
            self.run = gr.Button(views.score_button(session))
            self.scores = gr.Markdown(
                elem_id='scores', min_height=120, container=True
            )
            self.past = gr.State([])


def _button(text: str, **kwargs) -> gr.Button:
    return gr.Button(text, size='sm', min_width=60, **kwargs)


def _upload(text: str, kind: str) -> gr.UploadButton:
    return gr.UploadButton(text, file_types=[kind], size='sm', min_width=60)


def _image(name: str) -> gr.Image:
    return gr.Image(
        show_label=False,
        interactive=False,
        buttons=['download', 'fullscreen'],
        elem_id=name,
        format='jpeg',  # quicker than the others
    )


def _file(name: str) -> gr.File:
    return gr.File(
        show_label=False, interactive=False, visible=False, elem_id=name
    )

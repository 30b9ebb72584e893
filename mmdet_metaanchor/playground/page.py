"""What follows on the page from what a person does."""

import re
from collections.abc import Callable
from functools import partial, wraps
from html import escape
from pathlib import Path
from tempfile import mkdtemp

import gradio as gr

from ..anchors.anchors_file import write_anchors
from ..anchors.cover import draw_cover
from . import views
from .layout import LEAST, MOST_RATIO, MOST_SCALE, Layout, as_texts, numbers
from .rows import Row, index_in
from .session import Session

# The folder of a file that came from the browser.
UPLOADED = re.compile(r'\S*/gradio/[0-9a-f]{64}/')


def errors_shown(handler: Callable) -> Callable:
    """Show what is wrong with an input, and leave the page as it is."""

    @wraps(handler)
    def safe(*args, **kwargs):
        try:
            return handler(*args, **kwargs)
        except (FileNotFoundError, TypeError, ValueError) as error:
            text = str(error)
        except KeyError as error:
            text = f'unknown or missing: {error.args[0]}'
        gr.Warning(escape(UPLOADED.sub('', text)))
        return gr.skip()

    return safe


class Page:
    """The components of a page, and what they do.

    Args:
        session (Session): The detector and its images.
        folder (Path): Where files to download are written.
    """

    def __init__(self, session: Session, folder: Path) -> None:
        self.session, self.folder = session, folder
        self.levels = session.levels
        with gr.Blocks(
            title='Anchors',
            fill_width=True,
            analytics_enabled=False,
            delete_cache=(3600, 86400),
        ) as self.blocks:
            self.parts = Layout(session)
            self._connect()

    def _connect(self) -> None:
        parts, session = self.parts, self.session
        now = [parts.picture, parts.table, parts.chosen, parts.threshold]
        shape = [parts.level, parts.scale, parts.ratio]
        seen = [parts.found, parts.anchors, parts.brings, parts.coverage]
        chosen = [*seen, parts.chosen, *shape]
        every = [*chosen, parts.table]
        another = [*seen, parts.truth, parts.picture, parts.name]

        def on(event, handler, inputs, outputs, mode=None) -> None:
            event(
                errors_shown(handler),
                inputs,
                outputs,
                show_progress='hidden',
                api_visibility='private',
                trigger_mode=mode,
            )

        on(self.blocks.load, self.on_load, now, another)
        on(parts.name.input, self.on_name, [parts.name, *now[1:]], another)
        on(
            parts.upload.upload,
            self.on_upload,
            [parts.upload, *now[1:]],
            another,
        )
        # Of many moves in a row the last one counts.
        last = 'always_last'
        on(parts.threshold.input, self.look, now, seen, last)
        on(parts.table.input, self.on_edit, now, chosen, last)
        on(parts.table.select, self.on_select, now, chosen)
        on(parts.chosen.input, self.on_edit, now, chosen)
        for control in shape:
            moved = [*seen, parts.table]
            on(control.input, self.on_move, [*now, *shape], moved, last)
        on(parts.add.click, self.on_add, now, every)
        on(parts.remove.click, self.on_remove, now, every)
        for event, source, arguments in (
            (parts.trained.click, session.sources.rows_of, []),
            (parts.load.upload, session.sources.rows_of_file, [parts.load]),
            (
                parts.cluster.click,
                session.sources.rows_of_clusters,
                [parts.number],
            ),
            (
                parts.cluster_file.upload,
                session.sources.rows_of_clusters,
                [parts.number, parts.cluster_file],
            ),
            *(
                (button.click, partial(session.sources.rows_of_grid, name), [])
                for name, button in parts.grids.items()
            ),
        ):
            on(event, self._set(source), [*now, *arguments], every)
        on(parts.draw_cover.click, self.on_cover, parts.table, parts.cover)
        on(parts.save.click, self.on_save, parts.table, parts.saved)
        on(parts.bake.click, self.on_bake, parts.table, parts.baked)
        parts.run.click(  # with the progress that gradio shows
            errors_shown(self.on_score),
            [parts.table, parts.past],
            [parts.scores, parts.past],
            api_visibility='private',
        )

    def look(self, picture, table, chosen, threshold) -> dict:
        """Everything that depends on the anchors."""
        return self._look(picture, self._read(table), chosen, threshold)

    def on_load(self, picture, table, chosen, threshold) -> dict:
        """A page that is opened, or opened again."""
        return {
            **self.look(picture, table, chosen, threshold),
            self.parts.truth: views.draw_truth(self.session, picture),
        }

    def on_name(self, index, *others) -> dict:
        """Another one of the given images."""
        picture = self.session.images[index]
        return {**self.on_load(picture, *others), self.parts.picture: picture}

    def on_upload(self, path, *others) -> dict:
        """An image from the person's own disk."""
        picture = Path(path)
        return {
            **self.on_load(picture, *others),
            self.parts.picture: picture,
            self.parts.name: gr.update(value=None),
        }

    def on_edit(self, picture, table, chosen, threshold) -> dict:
        """A cell was changed by hand, or another number chosen."""
        rows = self._read(table)
        chosen = min(chosen or 0, len(rows) - 1)
        return {
            **self._look(picture, rows, chosen, threshold),
            **self._show_chosen(rows, chosen),
        }

    def on_select(
        self, picture, table, _chosen, threshold, event: gr.SelectData
    ) -> dict:
        """A row was clicked on."""
        try:
            chosen = index_in(table, event.index[0])
            return self.on_edit(picture, table, chosen, threshold)
        except ValueError:  # an edit has told of it
            return gr.skip()

    def on_move(
        self, picture, table, chosen, threshold, level, scale, ratio
    ) -> dict:
        """The chosen anchor got another shape or level."""
        rows = self._read(table)
        rows[chosen] = self.levels.shaped(level, scale, ratio)
        return {
            **self._look(picture, rows, chosen, threshold),
            self.parts.table: as_texts(rows),
        }

    def on_add(self, picture, table, chosen, threshold) -> dict:
        """One more anchor, to be moved."""
        rows = self._read(table)
        rows.append(rows[chosen])
        return self._show(picture, rows, len(rows) - 1, threshold)

    def on_remove(self, picture, table, chosen, threshold) -> dict:
        """The chosen anchor goes."""
        rows = self._read(table)
        del rows[chosen]
        rows = self.levels.parse(rows)  # every level needs one
        return self._show(picture, rows, max(0, chosen - 1), threshold)

    def on_cover(self, table):
        """The picture of the coverage, which takes a second."""
        path = Path(mkdtemp(dir=self.folder)) / 'cover.png'
        session = self.session
        rows = self._read(table)
        found, _ = session.cover(rows)
        draw_cover(path, session.truth.part, found, session.build(rows))
        return str(path)

    def on_score(self, table, past, _progress=gr.Progress(track_tqdm=True)):  # noqa: B008
        """The score on annotated images, above those before it."""
        rows = self._read(table)
        line = views.score_line(self.session.score(rows), rows)
        past = [line, *past]
        return '\n'.join(past), past

    def on_save(self, table):
        """An anchors file to download."""
        path = Path(mkdtemp(dir=self.folder)) / 'anchors.json'
        write_anchors(path, self.levels.anchors(self._read(table)))
        return gr.update(value=str(path), visible=True)

    def on_bake(self, table):
        """A stock checkpoint and its config to download."""
        out = Path(mkdtemp(dir=self.folder)) / 'stock.pth'
        files = self.session.bake(self._read(table), out)
        return gr.update(value=[str(path) for path in files], visible=True)

    def _set(self, source: Callable[..., list[Row]]) -> Callable:
        """A handler that puts other anchors in the place of all."""

        def put(picture, _table, _chosen, threshold, *arguments) -> dict:
            return self._show(picture, source(*arguments), 0, threshold)

        return put

    def _show(self, picture, rows: list[Row], chosen: int, threshold) -> dict:
        return {
            **self._look(picture, rows, chosen, threshold),
            **self._show_chosen(rows, chosen),
            self.parts.table: as_texts(rows),
        }

    def _look(self, picture, rows: list[Row], chosen, threshold) -> dict:
        view = views.look(self.session, picture, rows, chosen, threshold)
        return {
            self.parts.found: view.found,
            self.parts.anchors: view.anchors,
            self.parts.brings: view.brings,
            self.parts.coverage: view.coverage,
        }

    def _show_chosen(self, rows: list[Row], chosen: int) -> dict:
        scale, ratio = self.levels.scale_and_ratio(rows[chosen])
        return {
            self.parts.chosen: gr.update(
                choices=numbers(rows), value=str(chosen + 1)
            ),
            self.parts.level: rows[chosen].level,
            self.parts.scale: _wide_enough(scale, MOST_SCALE),
            self.parts.ratio: _wide_enough(ratio, MOST_RATIO),
        }

    def _read(self, table) -> list[Row]:
        return self.levels.parse(table)


def _wide_enough(value: float, most: float) -> dict:
    """A slider on a value, which may be beyond its ends."""
    return gr.update(
        value=value, minimum=min(LEAST, value), maximum=max(most, value)
    )

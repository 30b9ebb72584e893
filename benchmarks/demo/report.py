"""What the demo found, as a table, as Markdown and as JSON."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import tables
from mmdet_metaanchor.runtime.files import replacing, write_json

from ..machine import describe_versions
from ..metrics import METRICS

HEADINGS = ['model', 'anchors', 'per cell', *METRICS.values()]
SCORE_THR = 0.3  # of the boxes in the pictures


def table_cells(row: dict) -> list[str]:
    """A row of the table as text, metrics in percent.

    CocoMetric gives -1 where the val set has no object of a size.
    """
    metrics = [row[name] for name in METRICS]
    return [
        row['model'],
        row['anchors'],
        str(row['per_cell']),
        *('-' if m < 0 else f'{100 * m:.1f}' for m in metrics),
    ]


def print_table(rows: Sequence[dict]) -> None:
    """Print the table."""
    tables.show([HEADINGS, *map(table_cells, rows)])


def write_report(
    out_dir: Path,
    rows: Sequence[dict],
    records: dict[str, dict],
    val: dict[str, dict[int, dict]],
    anchor_sets: Sequence[dict],
    cfg_options: Sequence[str],
) -> Path:
    """Write ``report.md`` and ``report.json`` beside the pictures.

    Args:
        out_dir (Path): Where the pictures are.
        rows (Sequence[dict]): ``model``, ``anchors``, ``per_cell`` and, as
            fractions, the ``METRICS`` of one test each.
        records (dict[str, dict]): What :func:`.twins.train` returns of
            each model.
        val (dict[str, dict[int, dict]]): Its metrics during training, by
            epoch.
        anchor_sets (Sequence[dict]): ``name``, ``definition`` and
            ``anchors`` of those tested.
        cfg_options (Sequence[str]): Settings given beside the configs.

    Returns:
        Path: ``report.md``.
    """
    versions = describe_versions()
    write_json(
        out_dir / 'report.json',
        dict(
            rows=list(rows),
            trainings=records,
            val=val,
            anchor_sets=list(anchor_sets),
            cfg_options=list(cfg_options),
            score_thr=SCORE_THR,
            versions=versions,
        ),
    )
    path = out_dir / 'report.md'
    with replacing(path) as part:
        text = _markdown(rows, records, anchor_sets, cfg_options, versions)
        part.write_text(text, encoding='utf-8')
    return path


def _markdown(rows, records, anchor_sets, cfg_options, versions) -> str:
    trainings = [['model', 'config', 'data', 'epochs', 'seed', 'wall time']]
    trainings[0] += ['machine']
    for name, record in records.items():
        settings, machine = record['settings'], record['machine']
        images = record['images']
        cells = [
            name,
            f'`{record["config"]}`',
            f'{images["train"]} train and {images["val"]} val images',
            settings['train_cfg']['max_epochs'],
            settings['randomness']['seed'],
            f'{record["seconds"] / 60:.1f} min',
            f'{machine["device"]}, {machine["cores"]} CPU cores, '
            f'torch {machine["torch"]}',
        ]
        trainings.append([str(cell) for cell in cells])
    definitions = [['anchors', 'definition']]
    definitions += [[s['name'], s['definition']] for s in anchor_sets]
    return TEMPLATE.format(
        results=tables.markdown([HEADINGS, *map(table_cells, rows)]),
        trainings=tables.markdown(trainings),
        definitions=tables.markdown(definitions),
        cfg_options=' '.join(cfg_options),
        versions=', '.join(f'{n} {v}' for n, v in versions.items()),
        percent=f'{100 * SCORE_THR:.0f} %',
    )


TEMPLATE = """# MetaAnchor beside stock RetinaNet

Two detectors that differ in their last layer only, trained alike on pictures
of handwritten digits. Stock RetinaNet has one filter for every anchor; in
MetaAnchor the filters are generated from the anchors' shapes, so that one
checkpoint can be tested with any anchors. Nothing was trained again between
the MetaAnchor rows.

{results}

COCO metrics on the val images, in percent. Small, medium and large are the
mAP of objects below 32 x 32 px, between, and above 96 x 96 px in area. One
training a row of the models, with one seed: seeds alone move mAP by about a
point, so that a difference of that size between the two means nothing.

## Anchors

{definitions}

Scales are multiples of the stride of a level, 8 px at the lowest and doubled
at each next one; ratios are height / width. Sizes are in px of the
image as the network sees it.

![The same image under three anchor sets](anchors.png)

Above, the anchors that one cell of the middle level has, near the centre of
the image: wide ones blue, square ones orange, tall ones green. Below, what the
one checkpoint detects with each set. Here and in the next picture, boxes are
shown whose score is above {percent}.

## Detections

![Truth and detections](detections.png)

The first images of the val set, not chosen.

## Training

![Losses and mAP](curves.png)

Thin lines are the losses as logged, strong ones the means of five
neighbouring points.

{trainings}

Wall time includes the evaluations during training and, if it was interrupted
(not killed), what was done before.

Settings beside the configs: `{cfg_options}`

Versions of this report: {versions}
"""

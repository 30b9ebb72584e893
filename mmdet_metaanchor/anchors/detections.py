"""What many sets of anchors detect, from one pass of the network."""

from collections.abc import Iterator, Sequence

import torch
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..method.meta_head import MetaHeadMixin, Towers
from ..method.prior_generator import MetaAnchorGenerator
from .customize import build_anchors, find_head, list_shapes, restored_anchors

# (w, h) in px, one list per level.
AnchorSet = Sequence[Sequence[tuple[float, float]]]
# Scores computed at once: 64 MB in single precision.
MAX_SCORES = 2**24


def take_apart(generator: MetaAnchorGenerator) -> list[AnchorSet]:
    """A set of one anchor per level for every anchor of a generator.

    Args:
        generator (MetaAnchorGenerator): The generator.

    Returns:
        list[AnchorSet]: Sizes (w, h) in px.

    Raises:
        ValueError: Its levels have different numbers of anchors.
    """
    levels = list_shapes(generator)
    numbers = [len(sizes) for sizes in levels]
    if len(set(numbers)) > 1:
        raise ValueError(
            'anchors can be tried one by one if every level has as many of '
            f'them; these have {numbers}'
        )
    return [[[size] for size in sizes] for sizes in zip(*levels, strict=True)]


def unite(sets: Sequence[AnchorSet]) -> list[list[tuple[float, float]]]:
    """One set of the anchors of several, (w, h) in px, in their order."""
    levels = zip(*sets, strict=True)
    return [[anchor for part in parts for anchor in part] for parts in levels]


@torch.no_grad()
def collect_detections(
    model: nn.Module,
    loader: DataLoader,
    sets: Sequence[AnchorSet],
    most: int,
) -> list[list[InstanceData]]:
    """What every set of anchors detects, before suppression.

    The network runs once per image up to the maps that all outputs are
    mixtures of, see :class:`AnchorFunctionGenerator`; these are made for many
    sets at once, as those of one large set. As in a test, a level gives at
    most ``nms_pre`` pairs of a prior and a class.

    Args:
        model (nn.Module): A detector with a MetaAnchor head.
        loader (DataLoader): Images as a test loader gives them.
        sets (Sequence[AnchorSet]): The sets.
        most (int): Detections kept of an image, for every anchor that a
            level of the set has, those of the highest scores: what bounds
            the memory. Not for every set, or one that is spread over several
            would be allowed more.

    Returns:
        list[list[InstanceData]]: ``[set][image]``: ``bboxes`` (m, 4),
        ``(x1, y1, x2, y2)`` in px of the original image, ``scores``,
        ``labels`` and ``level_ids``, (m,), on the CPU, by falling score;
        ``img_id`` is in their metainfo.
    """
    head = find_head(model)
    trained = head.prior_generator
    model.eval()
    found = [[] for _ in sets]
    numbers = [len(level) for level in unite(sets)]
    with restored_anchors(model):
        for batch in tqdm(loader, 'images', unit='batch'):
            batch = model.data_preprocessor(batch, False)
            metas = [sample.metainfo for sample in batch['data_samples']]
            feats = model.extract_feat(batch['inputs'])
            towers = head.prepare(head.towers(feats), numbers)
            scores_per_anchor = head.num_classes * sum(
                feat[:, 0].numel() for feat in feats
            )
            for group in _grouped(sets, MAX_SCORES // scores_per_anchor):
                members = [sets[i] for i in group]
                owners = _owners(members)
                head.set_prior_generator(
                    build_anchors(unite(members), trained)
                )
                for image in detect_owned(head, towers, owners, metas):
                    for place, index in enumerate(group):
                        one = image[image.owners == place]
                        one.pop('owners')
                        one = cut_levels(one, head.test_cfg.get('nms_pre', -1))
                        anchors = max(map(len, sets[index]))
                        found[index].append(_kept(one[: most * anchors]))
    return found


def cut_levels(found: InstanceData, most: int) -> InstanceData:
    """The surest detections of every level, as a test cuts by ``nms_pre``.

    Args:
        found (InstanceData): ``scores`` and ``level_ids``, (m,).
        most (int): How many of a level; all where it is negative.
    """
    if most < 0 or len(found) <= most:
        return found
    rank = torch.empty_like(found.level_ids)
    order = found.scores.argsort(descending=True, stable=True)
    for level in found.level_ids.unique():
        places = order[found.level_ids[order] == level]
        rank[places] = torch.arange(len(places), device=rank.device)
    return found[rank < most]


def _kept(result: InstanceData) -> InstanceData:
    """On the CPU, and copied: a view would keep the whole batch alive."""
    kept = InstanceData(metainfo=result.metainfo)
    for name, value in result.items():
        setattr(kept, name, value.to('cpu', copy=True))
    return kept


def _grouped(sets: Sequence[AnchorSet], most: int) -> Iterator[list[int]]:
    """Indices of sets, in groups of up to ``most`` anchors per level."""
    group, anchors = [], 0
    for index, levels in enumerate(sets):
        anchors += len(levels[0])
        if group and anchors > most:
            yield group
            group, anchors = [], len(levels[0])
        group.append(index)
    yield group


def _owners(sets: Sequence[AnchorSet]) -> list[Tensor]:
    """The set of every anchor of united sets, level by level."""
    return [
        torch.arange(len(parts)).repeat_interleave(
            torch.tensor([len(part) for part in parts])
        )
        for parts in zip(*sets, strict=True)
    ]


@torch.no_grad()
def detect_owned(
    head: MetaHeadMixin,
    towers: Towers,
    owners: Sequence[Tensor],
    metas: Sequence[dict],
) -> Iterator[InstanceData]:
    """Detections of the head's anchors before suppression, by their owners.

    Args:
        head (MetaHeadMixin): The head.
        towers (tuple[list, ...]): What :meth:`head.towers` gives for the
            images, or :meth:`head.prepare` of that.
        owners (Sequence[Tensor]): (A,) a number for every anchor, one tensor
            per level.
        metas (Sequence[dict]): ``img_id``, ``img_shape`` and
            ``scale_factor`` of the N images.

    Yields:
        InstanceData: Of every image, by falling score: ``bboxes`` (m, 4),
        ``(x1, y1, x2, y2)`` in px of the original image, ``scores``,
        ``labels``, ``level_ids`` and ``owners``, (m,); not yet cut by
        ``nms_pre``.
    """
    cfg = head.test_cfg
    codes = head.prior_generator.codes()
    outputs = head.last_layers(towers, codes)
    sizes = [level.shape[-2:] for level in outputs[0]]
    grids = head.prior_generator.grid_priors(
        sizes, device=outputs[0][0].device
    )
    for image, meta in enumerate(metas):
        levels = []
        for level, (priors, owner, *branches) in enumerate(
            zip(grids, owners, *outputs, strict=True)
        ):
            scores, deltas, factors = head.read_level(
                [output[image] for output in branches]
            )
            prior, label = (scores > cfg.get('score_thr', 0)).nonzero().t()
            found = InstanceData(
                bboxes=head.decode_level(
                    priors[prior], deltas[prior], level, meta['img_shape']
                ),
                scores=scores[prior, label],
                labels=label,
                level_ids=torch.full_like(
                    label, level if head.CUTS_EACH_LEVEL else 0
                ),
                owners=owner.to(prior.device)[prior % len(owner)],
            )
            if factors is not None:
                found.score_factors = factors[prior]
            levels.append(found)
        every = InstanceData.cat(levels)
        # To the original image; what a test does next is left to the merge.
        every.bboxes = scale_boxes(
            every.bboxes, [1 / side for side in meta['scale_factor']]
        )
        every = every[every.scores.argsort(descending=True)]
        every.set_metainfo(dict(img_id=meta['img_id']))
        yield every


def suppress(
    head: MetaHeadMixin, parts: Sequence[InstanceData]
) -> InstanceData:
    """Detections of an image together, after the suppression of a test.

    Args:
        head (MetaHeadMixin): The head.
        parts (Sequence[InstanceData]): Detections before suppression, as
            :func:`detect_owned` and :func:`collect_detections` give them.

    Returns:
        InstanceData: What a test detects, ``nms_pre`` included. It has the
        fields of the parts, and can be suppressed again.
    """
    every = InstanceData.cat(list(parts))
    found = cut_levels(every, head.test_cfg.get('nms_pre', -1))
    every = found.clone()
    every.places = torch.arange(len(every), device=every.scores.device)
    result = head._bbox_post_process(
        every,
        head.test_cfg,
        rescale=False,
        with_nms=True,
        img_meta={},
    )
    # What heads drop: an RPN its levels, and all fields where nothing is
    # left; a head with objectness this, which the scores are by now
    # multiplied by.
    kept = found[result.pop('places', every.places[:0])]
    result.level_ids = kept.level_ids
    if 'score_factors' in kept:
        result.score_factors = torch.ones_like(kept.score_factors)
    result.set_metainfo(dict(img_id=parts[0].img_id))
    return result

"""MetaAnchor in all its variants beside a stock detector."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_metaanchor.runtime.files import go_on_from, write_json

from ..machine import describe_commit, describe_machine, describe_versions
from .costs import count_flops, count_parameters, peak_memory
from .timing import WARM_UP, alternate, build_model
from .variants import (
    STOCK,
    VARIANTS,
    Settings,
    build_variant,
    make_run,
    read_configs,
    set_precision,
)


def compare_variants(
    path: Path,
    priors: Sequence[int],
    variants: Sequence[str],
    settings: Settings,
    read: Callable[[int], tuple[Config, Config]] = read_configs,
) -> dict:
    """Measure variants of MetaAnchor beside stock, and go on with it.

    Args:
        path (Path): The JSON file, whole after every variant. What it holds
            of the same settings is not measured again.
        priors (Sequence[int]): Priors of a cell.
        variants (Sequence[str]): Of ``VARIANTS``; stock is always one.
        settings (Settings): How to measure.
        read (Callable): Gives the configs of stock and MetaAnchor for a
            number of priors.

    Returns:
        dict: ``settings``, and ``cells``, what :func:`measure` returns of
        each, with the ``commit`` of the code.

    Raises:
        ValueError: The file is of other settings, versions or machines.
    """
    init_default_scope('mmdet')
    content = go_on_from(
        path,
        dict(
            **asdict(settings),
            warm_up=WARM_UP,
            threads=torch.get_num_threads(),
            machine=describe_machine(),
            versions=describe_versions(),
        ),
    )
    cells = content.setdefault('cells', [])
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in priors:
        for name in [STOCK, *variants]:
            if (number, name) in [(c['priors'], c['variant']) for c in cells]:
                continue
            configs = read(number)
            label = f'{number} priors, {name}'
            cell = measure(name, configs, settings, label)
            cells.append(
                dict(
                    priors=number,
                    variant=name,
                    commit=describe_commit(),
                    **cell,
                )
            )
            write_json(path, content)
    return content


def measure(
    name: str, configs: tuple[Config, Config], settings: Settings, label: str
) -> dict:
    """What a variant costs, and its time beside stock's.

    Args:
        name (str): One of ``VARIANTS``.
        configs (tuple[Config, Config]): Stock and MetaAnchor.
        settings (Settings): How to measure.
        label (str): What the progress bars say.

    Returns:
        dict: ``parameters``; ``flops`` of an inference, ``None`` where there
        is none; ``memory``, bytes, and ``seconds``, (stock, variant) of every
        pair, both by run. Of stock itself there are no ``seconds``.
    """
    torch.manual_seed(0)
    runs = VARIANTS[name].runs
    cfg, model = build_variant(name, configs, settings.device)
    flops = None
    if 'inference' in runs:
        flops = count_flops(make_run('inference', cfg, model, settings))
    cell = dict(
        parameters=count_parameters(model),
        flops=flops,
        memory=peak_memory(name, cfg, settings),
        seconds={},
    )
    if name == STOCK:
        return cell
    stock = build_model(configs[0], settings.device)
    sides = [(configs[0], stock), (cfg, model)]
    for _, side in sides:
        set_precision(side, settings)
    for what in runs:
        both = [make_run(what, *side, settings) for side in sides]
        cell['seconds'][what] = alternate(
            f'{label}, {what}', both, settings.pairs, settings.device
        )
    return cell

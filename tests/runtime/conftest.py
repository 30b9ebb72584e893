"""A small detector and its checkpoint."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tiny(load_config, tiny_config, tmp_path):
    """Config of a small MetaAnchor model on four images, one epoch."""
    config = ROOT / 'configs/custom/meta-retinanet_r18-w32_custom.py'
    file = tmp_path / 'tiny.py'
    file.write_text(tiny_config(config=config))
    cfg = load_config(file)
    cfg.launcher, cfg.work_dir = 'none', str(tmp_path)
    # To MMEngine, those of one name are one.
    cfg.visualizer.name = cfg.experiment_name = tmp_path.name
    cfg.train_cfg.max_epochs = 1
    cfg.merge_from_dict(
        {
            f'{name}_dataloader.{key}': value
            for name in ('train', 'val', 'test')
            for key, value in dict(
                batch_size=2, num_workers=0, persistent_workers=False
            ).items()
        }
    )
    return cfg


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """One that fits the tiny model, and says what its classes are."""
    file = tmp_path / 'tiny.pth'
    state = MODELS.build(tiny.model).state_dict()
    meta = dict(dataset_meta=dict(classes=('odd', 'even')))
    torch.save(dict(meta=meta, state_dict=state), file)
    return str(file)

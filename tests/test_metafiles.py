"""Results of the metafiles are the means of the records that they name."""

import json
import re
import statistics
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
METRICS = {'box AP': 'mAP', 'box AP50': 'mAP_50'}
# Of the configs of benchmarks/, which records hold by name alone.
EPOCHS = 10
RESULTS = [
    pytest.param(model, result, id=f'{model["Name"]}: {result["Test"]}')
    for metafile in sorted((ROOT / 'configs').glob('*/metafile.yml'))
    for model in yaml.safe_load(metafile.read_text())['Models']
    for result in model.get('Results', [])
]


def test_there_are_results():
    assert len(RESULTS) > 60


@pytest.mark.parametrize(('model', 'result'), RESULTS)
def test_results_are_means_of_records(model, result):
    records = [
        json.loads(path.read_text())
        for path in sorted(ROOT.glob(result['Records']))
    ]
    assert [record['seed'] for record in records] == [0, 1, 2]
    for name, value in result['Metrics'].items():
        metric = METRICS.get(name, name)
        mean = statistics.fmean(
            100 * record['tests'][result['Test']]['metrics'][metric]
            for record in records
        )
        assert abs(mean - value) < 0.05 + 1e-9
    for record in records:
        config, own = record['settings']['config'], record['settings']
        settings = own['settings'] or {}
        half = 'w16' in config or 'base_channels' in str(settings)
        if 'w16' in config:
            assert ('meta-' in config) == ('meta-' in model['Config'])
        else:
            assert config == model['Config']
        epochs = settings.get('train_cfg', {}).get('max_epochs', EPOCHS)
        width = 'half the width (16), ' if half else ''
        assert result['Settings'] == f'{width}{epochs} epochs, 3 seeds'


@pytest.mark.parametrize(
    'readme',
    sorted((ROOT / 'configs').glob('*/README.md')),
    ids=lambda path: path.parent.name,
)
def test_figures_of_the_readmes_are_in_the_reports(readme):
    reports = (ROOT / 'benchmarks' / 'results').glob('*/report.md')
    figures = r'\d+\.\d ± \d+\.\d'
    known = re.findall(figures, ''.join(path.read_text() for path in reports))
    assert set(re.findall(figures, readme.read_text())) <= set(known)

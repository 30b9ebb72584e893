"""Open a page in the browser to move the anchors of a trained detector."""

import argparse

from mmengine.registry import init_default_scope

from mmdet_metaanchor.playground.session import open_session
from mmdet_metaanchor.runtime.command_line import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of the detector')
    parser.add_argument('checkpoint', help='checkpoint file, a stock one too')
    parser.add_argument('images', nargs='+', metavar='image', help='files')
    parser.add_argument(
        '--ann',
        metavar='COCO.json',
        help='boxes of the images and of others in their folder: to draw the '
        'truth, to see how the anchors cover it, and to score',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on (default: %(default)s, this machine only; '
        '0.0.0.0 lets every machine of the network in)',
    )
    parser.add_argument(
        '--port', type=int, help='port (default: the first free from 7860)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    with one_line_errors():
        # Here, as it needs gradio, and is to say so in one line.
        from mmdet_metaanchor.playground.server import serve

        session = open_session(
            args.config, args.checkpoint, args.images, args.ann
        )
        serve(session, args.host, args.port)


if __name__ == '__main__':
    main()

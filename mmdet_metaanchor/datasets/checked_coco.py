"""CheckedCocoDataset: dirty data is left out with a word, or refused."""

import logging

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from ..runtime.arguments import known_arguments
from .coco_faults import (
    INCOMPLETE,
    TOLERATED,
    find_faults,
    summarise_fault,
    take_out,
    warn_of,
)
from .coco_json import named, read_coco
from .image_files import color_type_of, decode, image_faults


@DATASETS.register_module()
@known_arguments
class CheckedCocoDataset(CocoDataset):
    """MMDetection's ``CocoDataset`` for files that people made.

    A file that would mix up images or classes is refused. In training,
    annotations that no detector can learn and images that cannot be read are
    left out; each kind is one warning with number and names. In testing
    (``test_mode``) both are errors, since a metric reads the annotations
    itself and would count what the data set leaves out. The targets of clean
    data are stock's, value by value.

    Images are looked at when the data set is loaded, by
    :func:`.image_files.image_fault`, and those elsewhere than on disks when
    they are decoded. One that fails only then is named and another taken, up
    to ``max_refetch`` times, as MMEngine does for pipelines that give
    ``None``; in testing it is an error.

    Args:
        *args: Arguments of ``CocoDataset``.
        faults (str, optional): 'drop' leaves faulty annotations out, and in
            testing only warns of them; 'stop' ends training, too, at the
            first look at the data. Defaults to dropping in training, and to
            stopping in testing but for small boxes, repeated annotations and
            the id 0, which are warned of. Images that cannot be read always
            end a test.
        **kwargs: Other arguments of ``CocoDataset``.

    Raises:
        ValueError: ``faults`` is another word, the file is no COCO JSON, ids
            repeat, the categories are not those of ``metainfo``, or a fault
            is not to be dropped; or nothing is left.
    """

    def __init__(self, *args, faults: str | None = None, **kwargs) -> None:
        if faults not in (None, 'drop', 'stop'):
            raise ValueError(
                f"faults must be 'drop' or 'stop', got {faults!r}"
            )
        self.faults = faults
        self.undecoded = set()
        super().__init__(*args, **kwargs)

    def COCOAPI(self, path: str) -> COCO:
        """Index a file without its faults, where stock indexes it as it is.

        Args:
            path (str): The file, on this machine.
        """
        needed = ['images', 'categories']
        if not self.test_mode:
            needed.append('annotations')
        content = read_coco(path, self.ann_file, needed)
        self._check_classes([c['name'] for c in content['categories']])
        self._check_annotations(content)
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
        # Names that MMDetection adds when it reads a file itself.
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        return coco

    def filter_data(self) -> list[dict]:
        """Leave out what ``filter_cfg`` says, and images with faults."""
        data_list = super().filter_data()
        images = [
            (data['img_path'], data['width'], data['height'])
            for data in data_list
            if self._is_on_disk(data['img_path'])
        ]
        found = image_faults(images, color_type_of(self.pipeline))
        faults = {
            path: fault
            for (path, *_), fault in zip(images, found, strict=True)
            if fault is not None
        }
        if not faults:
            return data_list
        kept = [d for d in data_list if d['img_path'] not in faults]
        names = named([f'{path} {fault}' for path, fault in faults.items()])
        message = (
            f'{self.ann_file}: {len(data_list) - len(kept)} of '
            f'{len(data_list)} images cannot be used: {names}'
        )
        if self.test_mode or self.faults == 'stop' or not kept:
            raise ValueError(message)
        self._warn(f'{message}: left out')
        return kept

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline, ``None`` for an image that cannot be decoded.

        Args:
            idx (int): Index of the image.

        Raises:
            ValueError: It cannot be decoded, and may not be left out.
        """
        try:
            data = super().prepare_data(idx)
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            fault = decode(path, backend_args=self.backend_args)
            if not isinstance(fault, str):
                raise  # it is not the image
            if self.test_mode or self.faults == 'stop':
                raise ValueError(f'{path} {fault}') from error
            if path not in self.undecoded:
                self.undecoded.add(path)
                self._warn(f'{path} {fault}: another image takes its place')
            return None
        if data is None and self.test_mode:
            path = self.get_data_info(idx)['img_path']
            raise ValueError(f'the test pipeline gives nothing for {path}')
        return data

    def _check_classes(self, listed: list[str]) -> None:
        classes = list(self.metainfo['classes'])
        if [name for name in listed if name in classes] != classes:
            raise ValueError(
                f'{self.ann_file} lists the categories {named(listed)}, and '
                f'metainfo.classes are {named(classes)}: MMDetection numbers '
                'labels by the file, so it has to list all of these, once '
                'and in their order'
            )

    def _check_annotations(self, content: dict) -> None:
        faults = find_faults(content, evaluated=self.test_mode)
        stops = [
            summarise_fault(kind, ids, content)
            for kind, ids in faults.items()
            if self.faults == 'stop'
            or (
                self.faults is None
                and self.test_mode
                and kind not in TOLERATED
            )
        ]
        if stops:
            raise ValueError(
                f'{self.ann_file} has {"; ".join(stops)}. Mend it, or set '
                "faults='drop' for this data set to go on"
            )
        kept = (*TOLERATED, INCOMPLETE) if self.test_mode else ()
        warn_of(content, faults, self.ann_file, kept)
        annotated = bool(content['annotations'])
        take_out(content, faults, kept)
        if annotated and not content['annotations'] and not self.test_mode:
            raise ValueError(
                f'{self.ann_file} has no annotation that can be used: '
                f'{", ".join(faults)}'
            )

    def _is_on_disk(self, path: str) -> bool:
        backend = get_file_backend(
            path, backend_args=self.backend_args, enable_singleton=True
        )
        return isinstance(backend, LocalBackend)

    @staticmethod
    def _warn(message: str) -> None:
        print_log(message, logger='current', level=logging.WARNING)

"""Which class the ``type`` of a part of a config means."""


def means(kind: str | type | None, cls: type) -> bool:
    """Whether a ``type`` means a class of OpenMMLab's.

    It may be the name, the name with the scope of the package, or, in configs
    in Python style, the class. Nothing is imported or looked up.

    Args:
        kind (str | type | None): The ``type``.
        cls (type): The class, as ``mmdet.datasets.CocoDataset``.
    """
    scope = cls.__module__.partition('.')[0]
    return kind in (cls, cls.__name__, f'{scope}.{cls.__name__}')

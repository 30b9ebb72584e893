"""A typo in a config is an error that names the nearest right key."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps


def known_arguments(cls: type) -> type:
    """Refuse arguments that neither a class nor its bases take.

    A class decorator. Python's own error would come from the base at the end
    of the chain, and does not say what would be right.

    Raises:
        TypeError: When the class is called: an argument is unknown.
    """
    init = cls.__init__
    known = accepted(cls)

    @wraps(init)
    def checked(self, *args, **kwargs) -> None:
        for name in kwargs:
            if name not in known:
                raise TypeError(_complaint(cls, name, known))
        init(self, *args, **kwargs)

    cls.__init__ = checked
    return cls


def accepted(cls: type) -> list[str]:
    """Names of the arguments of a class and of the bases they go on to."""
    names = []
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        parameters = inspect.signature(_undecorated(base)).parameters.values()
        names += [p.name for p in parameters if p.kind in _BY_NAME]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    names = dict.fromkeys(names)
    names.pop('self', None)
    return list(names)


_BY_NAME = (
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


def _undecorated(base: type) -> Callable:
    """The constructor itself: MMEngine wraps those of all models."""
    return inspect.unwrap(vars(base)['__init__'])


def _complaint(cls: type, name: str, known: list[str]) -> str:
    (nearest,) = get_close_matches(name, known, n=1, cutoff=0)
    return (
        f'{cls.__name__} takes no argument {name!r}; the nearest is '
        f'{nearest!r}, of {", ".join(known)}'
    )

"""HeadState: what a MetaAnchor head's checkpoint holds beside weights."""

import math

import torch
from mmengine.logging import print_log

from .shape_range import DIRECTIONS, reach_of_box
from .stock_weights import adopt_stock

# By the number that a checkpoint holds.
BOX_FUNCTIONS = ('published', 'scaled', 'absolute')


class HeadState:
    """What is saved with the weights of a head, and how all of it is loaded.

    The buffer ``standard_boxes``, (1, 2) or (levels, 2), is the unit that
    the parameters were trained in: (AH, AW) in strides. Loading a checkpoint
    hands it to the prior generator. Checkpoints of version 0.1 hold
    ``standard_box``, (2,), in px at the smallest stride; they are taken for
    trained on the strides of the head that loads them.

    The buffer ``box_form`` tells of ``box_function``; a checkpoint without it
    is of before version 0.2, 'published'. Loading it sets ``box_function``.

    The buffer ``shape_range``, (1, 64), or (levels, 64) where levels share no
    convolutions, is what shapes were trained, jitter included, see
    :mod:`.shape_range`; NaN where that is not known. Loading a checkpoint
    warns of priors beyond it.

    A part of :class:`.MetaHeadMixin`, which has the prior generator.
    """

    # Those of the checkpoint; a stock head has none of them.
    ADDED_BUFFERS = ('standard_boxes', 'box_form', 'shape_range')

    def _add_buffers(self) -> None:
        form = torch.tensor(BOX_FUNCTIONS.index(self.box_function))
        self.register_buffer('box_form', form)
        rows = 1 if self.ONE_UNIT else self.prior_generator.num_levels
        self.register_buffer(
            'shape_range', torch.full((rows, DIRECTIONS), math.nan)
        )
        self.register_buffer(
            'standard_boxes', self.prior_generator.standard_boxes.clone()
        )

    def _save_to_state_dict(
        self, destination: dict, prefix: str, *args
    ) -> None:
        """As of any module, with the settings that the head has now."""
        super()._save_to_state_dict(destination, prefix, *args)
        now = dict(
            standard_boxes=self.prior_generator.standard_boxes,
            box_form=torch.tensor(BOX_FUNCTIONS.index(self.box_function)),
        )
        for name, value in now.items():
            value = value.to(getattr(self, name), copy=True)
            destination[f'{prefix}{name}'] = value

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        adopt_stock(self, state_dict, prefix)
        configured = self.prior_generator.standard_box, self.box_function
        old_key = prefix + 'standard_box'
        key, form_key, range_key = (
            prefix + name for name in self.ADDED_BUFFERS
        )
        priors = self.prior_generator
        if old_key in state_dict:  # version 0.1
            priors.standard_box = state_dict.pop(old_key)
            state_dict[key] = priors.standard_boxes
        if key in state_dict:
            priors.standard_boxes = state_dict[key]
            # Neither was there before version 0.2.
            state_dict.setdefault(form_key, torch.tensor(0))
            known = state_dict.setdefault(
                range_key, torch.full_like(self.shape_range, math.nan)
            )
            if known.shape == (2, 2):  # the lowest and the highest of all
                state_dict[range_key] = reach_of_box(*known).expand_as(
                    self.shape_range
                )
        if form_key in state_dict:
            form = int(state_dict[form_key])
            if not 0 <= form < len(BOX_FUNCTIONS):
                raise ValueError(
                    f'{form_key} of the checkpoint is {form}, and only '
                    f'{dict(enumerate(BOX_FUNCTIONS))} are known'
                )
            self.box_function = BOX_FUNCTIONS[form]
        if priors.standard_boxes.shape != self.standard_boxes.shape:
            # One row became one per level, or the other way round.
            self.standard_boxes = priors.standard_boxes.to(
                self.standard_boxes, copy=True
            )
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.warn_of_untrained()
        names = 'standard box', 'box_function'
        now = priors.standard_box, self.box_function
        for name, before, after in zip(names, configured, now, strict=True):
            if before != after:
                print_log(
                    f'The {name} of the config, {before}, gives way to that '
                    f'of the checkpoint, {after}.',
                    logger='current',
                )

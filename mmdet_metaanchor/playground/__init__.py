"""A page in the browser to move the anchors of a trained detector.

The model's side, which knows no browser, is :mod:`.session`; what is shown of
it is made in :mod:`.views`. Only :mod:`.layout`, :mod:`.page` and
:mod:`.server` need gradio.
"""

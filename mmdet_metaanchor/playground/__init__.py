"""A page in the browser to move the anchors of a trained detector.

The model's side, which knows no browser, is :mod:`.session`, :mod:`.rows` and
:mod:`.pictures`; :mod:`.page` alone imports gradio.
"""

"""Registers MetaATSSHead, by the lines that docs/other-heads.md has for it."""

import re

from .processes import ROOT

PAGE = (ROOT / 'docs/other-heads.md').read_text(encoding='utf-8')
exec(re.search(r'```python\n(.*?)```', PAGE, re.DOTALL)[1])

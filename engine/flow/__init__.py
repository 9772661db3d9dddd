"""Definition time: flow documents, expressions and templates, parsed, checked and planned.

Imports `ext.expressions` and what every floor shares. It is pure, and knows no contact and no run.
Begin with `README.md` beside this file, which describes the language and ends with a list of the files. In code, begin
with `document.py` (the result) and `tables/flow.py` (the keys).
"""

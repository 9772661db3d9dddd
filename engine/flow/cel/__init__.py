"""CEL text to terms: Google's compiler parses and checks it, this package translates the result.

`ext.expressions.plan` makes a plan of the terms. Begin with `expression.py`.
"""

"""Faults as sentences: what went wrong in an evaluation, for the person who wrote the expression."""

from engine.limits import EXPRESSION_MEMORY_BYTES_MAX, EXPRESSION_STEPS_MAX
from ext.expressions.value cimport (
    BAD_CONVERSION, BAD_INDEX, BAD_KEY, BAD_PATTERN, BAD_UTF8, BAD_ZONE, DIVISION_BY_ZERO, DUPLICATE_KEY, MODULUS_BY_ZERO,
    NOTHING, NOT_A_BOOL, NOT_A_MAP, NO_EVENT, NO_FACTS, NO_SUCH_EVENT, NO_SUCH_INDEX, NO_SUCH_KEY, NO_SUCH_OVERLOAD,
    OUT_OF_RANGE, OVERFLOW, RAISED, STRING, TOO_MANY_STEPS, TOO_MUCH_MEMORY, UNDECLARED, WRONG_TYPE, kind_name,
)

cdef dict SENTENCES = {
    NO_SUCH_KEY: "no such key: {about}",
    OVERFLOW: "integer overflow: the result has no 64-bit integer (range error)",
    DIVISION_BY_ZERO: "division by zero",
    MODULUS_BY_ZERO: "modulus by zero",
    NO_SUCH_INDEX: "no such index: {number} (index out of bounds)",
    BAD_INDEX: "invalid index: a list is indexed by a whole number, not by {a_kind}",
    BAD_KEY: "unsupported key type: a map has no {kind} as a key",
    DUPLICATE_KEY: "repeated key: a map has each key once",
    NOT_A_MAP: "no such overload: {a_kind} has no fields to select",
    NOT_A_BOOL: "no such overload: true or false was expected, and {a_kind} found",
    BAD_CONVERSION: "conversion error: {label}() cannot read {about}",
    OUT_OF_RANGE: "range error: the result of {label} is out of range",
    BAD_ZONE: "{about} is not a time zone",
    BAD_UTF8: "invalid UTF-8 in bytes, cannot convert to string",
    BAD_PATTERN: "{about} is not a regular expression (RE2)",
    NO_EVENT: "no event: nothing happened that this expression could look at",
    NO_SUCH_EVENT: "no such event: the contact has no {about} yet",
    NO_FACTS: "{label}() has no answer here: there is no contact with a history",
    WRONG_TYPE: "wrong type: {label} is {a_kind} here, and declared as {other}",
    TOO_MANY_STEPS: "the evaluation takes more than {steps} steps",
    TOO_MUCH_MEMORY: "the evaluation makes more than {memory} bytes of values",
    UNDECLARED: "undeclared reference to {label}",
    RAISED: "the engine could not answer {label}()",
}


cdef str sentence(const Fault* fault, str label):
    """Return the sentence of a fault. `label` names the failing node: a key, a function."""
    if fault.code == NOTHING:
        return ""
    if fault.code == NO_SUCH_OVERLOAD:
        return f"no such overload: {applied(fault, label)}"
    about = repr(label)
    if fault.text_n >= 0:
        about = repr(fault.text[:fault.text_n].decode("utf-8", "ignore"))
    elif fault.kinds:
        about = str(fault.number)
    return SENTENCES[fault.code].format(
        about=about,
        label=label.strip("_@"),
        number=fault.number,
        kind=kind_name(fault.kind1),
        a_kind=with_article(kind_name(fault.kind1)),
        other=kind_name(fault.kind2),
        steps=EXPRESSION_STEPS_MAX,
        memory=EXPRESSION_MEMORY_BYTES_MAX,
    )


cdef str with_article(str kind):
    return f"an {kind}" if kind[0] in "aeiou" and kind != "uint" else f"a {kind}"


cdef str applied(const Fault* fault, str label):
    """Return a call with the kinds of its arguments: `string + int`, `size(int)`."""
    kinds = [kind_name(fault.kind1), kind_name(fault.kind2)][: fault.kinds]
    operator = label.strip("_@")
    if len(kinds) == 2 and (label.startswith("_") or label.startswith("@")):
        return f"{kinds[0]}[{kinds[1]}]" if operator == "[" or operator == "[_]" else f"{kinds[0]} {operator} {kinds[1]}"
    return f"{operator}({', '.join(kinds)})"

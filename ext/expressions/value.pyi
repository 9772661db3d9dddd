from enum import IntEnum

class Kind(IntEnum):
    """The kinds of value an expression knows; `ERROR` stands for no value."""

    ERROR = 0
    NULL_ = 1
    BOOL = 2
    INT = 3
    UINT = 4
    DOUBLE = 5
    STRING = 6
    BYTES = 7
    TIMESTAMP = 8
    DURATION = 9
    TYPE = 10
    LIST = 11
    MAP = 12

class Wrong(IntEnum):
    """What can go wrong in an evaluation. From TOO_MANY_STEPS on the whole evaluation is over."""

    NOTHING = 0
    NO_SUCH_KEY = 1
    NO_SUCH_OVERLOAD = 2
    OVERFLOW = 3
    DIVISION_BY_ZERO = 4
    MODULUS_BY_ZERO = 5
    NO_SUCH_INDEX = 6
    BAD_INDEX = 7
    BAD_KEY = 8
    DUPLICATE_KEY = 9
    NOT_A_MAP = 10
    NOT_A_BOOL = 11
    BAD_CONVERSION = 12
    OUT_OF_RANGE = 13
    BAD_ZONE = 14
    BAD_UTF8 = 15
    BAD_PATTERN = 16
    NO_EVENT = 17
    NO_SUCH_EVENT = 18
    NO_FACTS = 19
    WRONG_TYPE = 20
    UNDECLARED = 21
    TOO_MANY_STEPS = 22
    TOO_MUCH_MEMORY = 23
    RAISED = 24

class TypeName(str):
    """What `type(x)` gives: the name of a type, such as `int` or `google.protobuf.Timestamp`."""

    __slots__ = ()

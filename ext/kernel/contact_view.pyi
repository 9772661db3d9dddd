from typing import final

from ext.expressions.view import View
from ext.kernel.callbacks import Callbacks
from ext.structures.name_table import Names

@final
class ContactView(View):
    """A view of one contact and one event, whose functions are answered from the contact's history."""

    def __new__(cls, names: Names, properties: Names, callbacks: Callbacks) -> ContactView: ...

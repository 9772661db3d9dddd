from typing import final

from ext.kernel.contact import Trial

@final
class TrialTotals:
    """Totals of one variant of an A/B test (rule 22); sums go over contacts."""

    def __init__(
        self,
        contacts: int = 0,
        conversions: int = 0,
        orders: int = 0,
        revenue: int = 0,
        orders_sq: int = 0,
        revenue_sq: int = 0,
        orders_revenue: int = 0,
        expected: int = 0,
    ) -> None: ...
    @property
    def contacts(self) -> int:
        """Contacts that arrived."""

    @property
    def conversions(self) -> int:
        """Contacts with at least one goal event in time."""

    @property
    def orders(self) -> int:
        """Goal events in time."""

    @property
    def revenue(self) -> int:
        """Revenue of these, in hundredths of the currency."""

    @property
    def orders_sq(self) -> int:
        """Sum of (a contact's orders)²."""

    @property
    def revenue_sq(self) -> int:
        """Sum of (a contact's revenue)²."""

    @property
    def orders_revenue(self) -> int:
        """Sum of a contact's orders · its revenue."""

    @property
    def expected(self) -> int:
        """Share of the variant, summed over the arrivals at the test."""

    def order(self, before: Trial, worth: int) -> Trial:
        """Count a goal event of a contact; return the contact's trial after it."""

    def sums(self) -> tuple[int, int, int, int, int, int, int, int]:
        """Return the totals as a tuple, in the order of the constructor's arguments."""

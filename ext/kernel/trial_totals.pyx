"""Totals of one variant of an A/B test (rule 22), from which `engine.ab_test.report` computes every figure.

Sums over contacts, kept as each order comes. A contact that goes from n orders and r revenue to n + 1 and r + w adds

    to the sum of orders²            (n + 1)² - n²            = 2n + 1
    to the sum of revenue²           (r + w)² - r²
    to the sum of orders · revenue   (n + 1)(r + w) - nr

so no contact is looked at again. All are whole numbers, and Python's own, because squares outgrow 64 bits.
"""

cimport cython

from ext.kernel.contact cimport Trial


@cython.final
cdef class TrialTotals:
    """Totals of one variant; see the module."""

    def __init__(
        self,
        contacts=0,
        conversions=0,
        orders=0,
        revenue=0,
        orders_sq=0,
        revenue_sq=0,
        orders_revenue=0,
        expected=0,
    ):
        self.contacts = contacts
        self.conversions = conversions
        self.orders = orders
        self.revenue = revenue
        self.orders_sq = orders_sq
        self.revenue_sq = revenue_sq
        self.orders_revenue = orders_revenue
        self.expected = expected

    cdef int expect(self, int share, bint chosen) except -1:
        """Count a contact's first arrival at the test. `share`: the variant's, in hundredths of a per cent."""
        self.contacts += chosen
        self.expected += share
        return 0

    cdef int count_order(self, Trial before, object worth) except -1:
        """Count a goal event of a contact that was at `before`; `worth` in hundredths of the currency."""
        cdef object orders = before.orders + 1
        cdef object revenue = before.revenue + worth
        self.conversions += before.orders == 0
        self.orders += 1
        self.revenue += worth
        self.orders_sq += 2 * before.orders + 1
        self.revenue_sq += revenue**2 - before.revenue**2
        self.orders_revenue += orders * revenue - before.orders * before.revenue
        return 0

    def order(self, Trial before not None, worth):
        """Count a goal event, as `count_order` does for the kernel; return the contact's trial after it."""
        self.count_order(before, worth)
        return Trial(before.variant, before.first_ms, before.orders + 1, before.revenue + worth)

    def sums(self):
        """Return the totals as a tuple, in the order of the arguments above."""
        return (
            self.contacts,
            self.conversions,
            self.orders,
            self.revenue,
            self.orders_sq,
            self.revenue_sq,
            self.orders_revenue,
            self.expected,
        )

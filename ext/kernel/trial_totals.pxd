from ext.kernel.contact cimport Trial

cdef class TrialTotals:
    cdef readonly object contacts          # that arrived
    cdef readonly object conversions       # contacts with at least one goal event in time
    cdef readonly object orders            # goal events in time
    cdef readonly object revenue           # of these, in hundredths of the currency, as below
    cdef readonly object orders_sq         # sum of (a contact's orders)²
    cdef readonly object revenue_sq        # sum of (a contact's revenue)²
    cdef readonly object orders_revenue    # sum of a contact's orders · its revenue
    cdef readonly object expected          # the variant's share, summed over the arrivals at the test

    cdef int expect(self, int share, bint chosen) except -1
    cdef int count_order(self, Trial before, object worth) except -1

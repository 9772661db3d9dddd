"""Measurements of an engine from outside, for `tidemill bench` and for the benchmarks of this project.

    work      the flow, the contacts and the events of all measurements
    engine    a `tidemill serve` in a process of its own
    stream    lines over one acknowledged stream, at full speed or at a rate
    requests  single events over many connections, at full speed or at a rate
    floor     the least that a program could do with the same lines; the time of one commit on this disk
    disk      bytes written, by the block device's own counters
    waits     delays of waits, and many waits that end at once
    suite     all of these in order, as figures with their meaning

    soak      half load for a long time, in order; its parts:
    journey   its flow, and the counts that the events sent must give
    load      a sender that makes its lines while it sends, and reports its delays
    mailbox   a client that pulls messages and sends receipts
    footprint memory, descriptors, files and processor time of a process
    record    plan, samples, counts and verdicts
    flatness  whether a curve is flat
    curve     the picture

Imports `api.client` and no part of the server. It measures the process that a user runs, through the ways that an
application uses; only the simulation, which has no process, is called. A sender that runs beside a measurement is a
process of its own: a thread would share its interpreter with the code that reads the clock.
"""

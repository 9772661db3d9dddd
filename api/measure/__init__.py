"""Measuring an engine from outside: what `tidemill bench` prints, and what the benchmarks of this project build on.

    work      the flow, the contacts and the events that everything is measured with
    engine    a `tidemill serve` in a process of its own
    stream    lines over one acknowledged stream, as fast as they are taken or at a rate
    requests  single events over many connections, likewise
    floor     the least a program could do with the same lines; what the disk takes for one commit
    disk      bytes written, by the block device's own counters
    waits     how late waits end, and many that end at once
    suite     all of it in order, as figures with their meaning

    soak      half load for a long time, in order; what it is made of:
    journey   its flow, and what the events sent must have come to
    load      a sender that makes its lines while it sends, and tells how it goes
    mailbox   who pulls messages and says that they arrived
    footprint memory, descriptors, files and processor time of a process
    record    plan, samples, counts, and what is judged
    flatness  whether a curve is flat
    curve     the picture

What is measured is the process a user runs, spoken to as his application would; only the simulation, which has no
process, is called. Where a sender has to run beside something else it is a process of its own (`beside`), for a
thread would share its interpreter with whoever reads the clock.
"""

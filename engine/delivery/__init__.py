"""Delivery: effects out of the kernel's outbox to their channels, and a receipt back for each.

Imports `engine.kernel` and what every floor shares; it knows neither the store nor the simulation.
Begin with `delivery.py`. `channel_queue.py` holds the effects of one channel, `backoff.py` decides about retries and
pauses, `channels/` holds the channels.
"""

"""Run time of the engine, the frequent half: contacts, runs, timers, and the way of an event through the flows.

Imports all other rooms of `ext`, and batches and bounds (`engine.model`, `engine.limits`). It never imports
`engine.kernel`, the rare half: it asks through a base class, `Callbacks` (`callbacks.pyx`).
Begin with the picture in `core.pyx`, then follow an event: `batch.pyx`, `event_path.pyx`, `walk.pyx`, `steps.pyx`.
"""

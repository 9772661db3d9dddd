"""Engine for customer journeys, without any way in from outside: batches in, effects out.

Imports `ext`, never `api`. `engine.service` composes the rooms; `engine.kernel` and all below it are pure.
Begin with the tour, `engine/README.md`. `python -m tests.floors` prints each room with what it imports.
"""

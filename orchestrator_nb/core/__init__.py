"""The pure core: models, events, state, decisions. No I/O, clock, randomness or event loop."""

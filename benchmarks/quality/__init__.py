"""A grid of trainings from one config: run, resumed, tested, reported."""

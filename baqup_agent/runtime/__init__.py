"""One run of one job: driver, signals, deadlines, effects and the way out."""

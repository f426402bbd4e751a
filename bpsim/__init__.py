"""bpsim: how backpressure travels through a data pipeline."""

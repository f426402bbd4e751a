"""The dashboard: see a pipeline, break it, understand it. It builds scenarios and reads results; it computes nothing."""

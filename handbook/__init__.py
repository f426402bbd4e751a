"""What is generated for readers: the reference pages of the documentation, the notebooks, the facilitator's numbers."""

"""bpsim against what others published: `python -m validation [--full] [--write]` makes docs/validation.md."""

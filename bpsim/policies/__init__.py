"""What people do about overload, as small pure policies: told what happened, asked what to do. The tiers do the waiting."""

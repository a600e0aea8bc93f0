"""An auction: lots, bids, and everybody who looks."""

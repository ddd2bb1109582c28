"""An audit told: what a leak does to scores, as tables, a picture, a page."""

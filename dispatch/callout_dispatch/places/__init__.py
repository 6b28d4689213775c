"""Territories, positions, learned speeds and geocoding: where things are, and how long the way takes."""

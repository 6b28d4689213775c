"""Geometry of Callout: points, distances, travel time, datums, outlines, tracks and the geofence's verdict.

No tables; every function takes values and returns values. I/O only in `routing` and `geocoding`.
"""

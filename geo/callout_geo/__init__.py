"""Pure geometry of Callout: points, distances, travel-time estimates and the geofence's verdict.

No tables and no I/O; every function takes values and returns values.
"""

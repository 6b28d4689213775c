"""Ways between places: from a routing service over HTTP, or estimated. With geocoding the only part of geo that does I/O."""

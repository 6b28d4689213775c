"""What travels between a phone and the server: commands up, documents down, codes both ways; versioned."""

SCHEMA_VERSION = 1
SCHEMA_VERSIONS_SPOKEN = (1,)

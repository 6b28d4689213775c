"""What travels between a phone and the server: commands up, documents down, codes both ways; versioned."""

SCHEMA_VERSION = 2
"""1: commands, documents, pull and push. 2: `record.edit`, forms, held commands, outcomes, history, articles, attachments."""
SCHEMA_VERSIONS_SPOKEN = (1, 2)
"""A phone with an older one is answered UPGRADE_REQUIRED when it pulls; what it has to send is still taken."""

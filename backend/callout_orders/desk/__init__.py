"""Who answers for an order: teams, duty, fallback and its three rights, to-dos, the directory, the timeline."""

"""What a notice says: facts, templates and their versions, texts."""

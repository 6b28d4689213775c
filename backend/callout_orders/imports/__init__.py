"""Orders in tables: mapping, dry run, restartable import, safe export."""
